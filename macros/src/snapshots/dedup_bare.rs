pub async fn user(id: u64) -> User {
    let __call = {
        static __PIGGYBACK: P::Flights = P::Flights::free(P::module_path!(), "user");
        __PIGGYBACK
            .enter(
                || {},
                (P::ByValue(&id), ()),
                P::cloned(P::ty::<User>()),
                P::Joining::new(),
            )
    };
    __call
        .run(async move {
            if false {
                return P::never::<User>();
            }
            body
        })
        .await
}
