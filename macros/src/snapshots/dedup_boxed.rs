fn user<'a>(&'a self, id: u64) -> Pin<Box<dyn Future<Output = User> + Send + 'a>> {
    P::Box::pin(async move {
        #[allow(clippy::used_underscore_binding)]
        let __piggyback_call = {
            #[allow(unused_imports)]
            use P::{RefPart as _, ValuePart as _};
            static __PIGGYBACK: P::Flights = P::Flights::new(
                P::Path::Method(::core::module_path!(), "user"),
            );
            let __piggyback_waker = __PIGGYBACK.waker().await;
            __PIGGYBACK
                .enter_in(
                    &(self.scope),
                    __piggyback_waker,
                    || {},
                    (P::part(P::Part(&id).key()), ()),
                    P::cloned(P::output::<User>()),
                    P::Joining::new(),
                )
        };
        __piggyback_call
            .run(async move {
                if false {
                    return P::never::<User>();
                }
                body
            })
            .await
    })
}
