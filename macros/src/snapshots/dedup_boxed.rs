fn user<'a>(&'a self, id: u64) -> Pin<Box<dyn Future<Output = User> + Send + 'a>> {
    P::Box::pin(async move {
        let __call = {
            static __PIGGYBACK: P::Flights = P::Flights::method(
                P::module_path!(),
                "user",
            );
            __PIGGYBACK
                .enter_in(
                    &(self.scope),
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
    })
}
