async fn user(&self, pool: Pool, id: u64) -> User {
    let __call = {
        static __PIGGYBACK: P::Flights = P::Flights::method(P::module_path!(), "user");
        __PIGGYBACK
            .enter(
                || {},
                (P::self_part(P::ByRef(self)), (P::ByValue(&id), ())),
                P::cloned(P::ty::<User>()),
                P::Joining::new(),
            )
    };
    __call
        .spawn(|| {
            #[allow(unused_imports)]
            use P::probing::*;
            let __this = P::own_self(P::ByRef(self));
            let pool = P::own(P::arg(pool).part());
            async move {
                let __this = __this.lend();
                let pool = pool.lend();
                if false {
                    return P::never::<User>();
                }
                __this.body
            }
        })
        .await
}
