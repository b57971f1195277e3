async fn save(&self, users: User) -> Result<(), AppError> {
    let __piggyback_batches: &'static P::Batches = {
        static BATCHES: P::Batches = P::Batches::new(
            P::Path::Method(::core::module_path!(), "save"),
        );
        &BATCHES
    };
    #[allow(unused_imports, clippy::used_underscore_binding)]
    let __piggyback_seat = {
        use P::{RefArg as _, RefPart as _, ValueArg as _, ValuePart as _};
        __piggyback_batches
            .join(
                P::waker().await,
                || {},
                (P::part(P::Part(&(self.tenant)).key()), ()),
                P::Item::new(users),
                || P::Limits::new(10, 10),
                || {
                    let __piggyback_self = P::own_self(P::Part(&self).key());
                    move |__piggyback_items: P::Vec<User>| {
                        P::split(
                            P::shape(
                                    P::Each,
                                    P::output::<(Result<(), AppError>, User, _)>(),
                                )
                                .share_split(P::ByClone),
                            __piggyback_items,
                            move |__piggyback_items: P::Vec<User>| {
                                let __piggyback_self = P::Clone::clone(&__piggyback_self);
                                async move {
                                    let __piggyback_self = __piggyback_self.lend();
                                    let users = &__piggyback_items[..];
                                    if false {
                                        return P::never::<Result<(), AppError>>();
                                    }
                                    __piggyback_self.body
                                }
                            },
                        )
                    }
                },
            )
    };
    __piggyback_seat.result().await
}
