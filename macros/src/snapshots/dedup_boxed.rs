fn user<'a>(&'a self, id: u64) -> Pin<Box<dyn Future<Output = User> + Send + 'a>> {
    P::Box::pin(async move {
        let __call = {
            static __PIGGYBACK: P::Site = P::Site::method(P::module_path!(), "user");
            P::enter_in(
                &__PIGGYBACK,
                &(self.scope),
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
    })
}
