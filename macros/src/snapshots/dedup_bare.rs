pub async fn user(id: u64) -> User {
    let __call = {
        static __PIGGYBACK: P::Site = P::Site::free(P::module_path!(), "user");
        P::enter(
            &__PIGGYBACK,
            || {},
            (P::ByValue(&id), ()),
            P::cloned(P::ty::<User>()),
            P::Joining::new(),
        )
    };
    P::Call::run(
            __call,
            async move {
                if false {
                    return P::never::<User>();
                }
                body
            },
        )
        .await
}
