async fn user(&self, pool: Pool, id: u64) -> User {
    #[allow(clippy::used_underscore_binding)]
    let __piggyback_call = {
        #[allow(unused_imports)]
        use P::{RefPart as _, ValuePart as _};
        static __PIGGYBACK: P::Flights = P::Flights::new(
            P::Path::Method(::core::module_path!(), "user"),
        );
        let __piggyback_waker = __PIGGYBACK.waker().await;
        __PIGGYBACK
            .enter(
                __piggyback_waker,
                || {},
                (P::self_part(P::Part(&self).key()), (P::part(P::Part(&id).key()), ())),
                P::cloned(P::output::<User>()),
                P::Joining::new(),
            )
    };
    __piggyback_call
        .spawn(|| {
            #[allow(unused_imports)]
            use P::{RefArg as _, ValueArg as _};
            let __piggyback_self = P::own_self(P::arg(self).part());
            let pool = P::own(P::arg(pool).part());
            let id = P::own(P::arg(id).part());
            async move {
                let __piggyback_self = __piggyback_self.lend();
                let pool = pool.lend();
                let id = id.lend();
                if false {
                    return P::never::<User>();
                }
                __piggyback_self.body
            }
        })
        .await
}
