async fn user(&self, pool: Pool, id: u64) -> User {
    let __call = {
        static __PIGGYBACK: P::Site = P::Site::method(P::module_path!(), "user");
        P::enter(
            &__PIGGYBACK,
            || {},
            (P::self_part(P::ByRef(self)), (P::ByValue(&id), ())),
            P::cloned(P::ty::<User>()),
            P::Joining::new(),
        )
    };
    P::Call::spawn(
            __call,
            || {
                #[allow(unused_imports)]
                use P::probing::*;
                let __self = P::own_self(P::self_part(P::ByRef(self)));
                let pool = P::own(P::arg(pool).__piggyback_part());
                async move {
                    let __self = __self.__piggyback_lend();
                    let pool = pool.__piggyback_lend();
                    if false {
                        return P::never::<User>();
                    }
                    __self.body
                }
            },
        )
        .await
}
