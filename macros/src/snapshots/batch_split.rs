async fn save(&self, users: User) -> Result<(), AppError> {
    #[allow(clippy::used_underscore_binding)]
    let __piggyback_seat = {
        #[allow(unused_imports)]
        use P::{RefArg as _, RefPart as _, ValueArg as _, ValuePart as _};
        static __PIGGYBACK: P::Batches = P::Batches::new(
            P::Path::Method(::core::module_path!(), "save"),
        );
        let __piggyback_waker = P::Waker.await;
        __PIGGYBACK
            .join(
                __piggyback_waker,
                (P::part(P::Part(&(self.tenant)).key()), ()),
                P::item(users),
                || P::Limits::new(10, 10),
                || {
                    let __piggyback_self = P::own_self(P::Part(&self).key());
                    P::again(P::output::<User>())
                        .by(
                            P::shape(
                                P::Each,
                                P::output::<(Result<(), AppError>, User, _)>(),
                            ),
                        )
                        .share_split(P::ByClone)
                        .split(move |__piggyback_items: P::Vec<User>| {
                            let __piggyback_self = P::Clone::clone(&__piggyback_self);
                            async move {
                                let __piggyback_self = __piggyback_self.lend();
                                let users = &__piggyback_items[..];
                                if false {
                                    return P::never::<Result<(), AppError>>();
                                }
                                __piggyback_self.body
                            }
                        })
                },
            )
    };
    __piggyback_seat.await
}
