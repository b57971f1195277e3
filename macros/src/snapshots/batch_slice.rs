async fn save(pool: &Pool, users: User) -> Result<(), AppError> {
    let __piggyback_batches: &'static P::Batches = {
        static BATCHES: P::Batches = P::Batches::new(
            P::Path::Free(::core::module_path!(), "save"),
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
                (),
                P::Item::new(users),
                || P::Limits::new(10, 10),
                || {
                    let pool = P::own(P::arg(pool).part());
                    move |__piggyback_items: P::Vec<User>| {
                        P::bulk(
                            P::shape(
                                    P::Each,
                                    P::output::<(Result<(), AppError>, User, _)>(),
                                )
                                .share(
                                    P::shared_err(
                                        P::output::<Result<(), AppError>>(),
                                        AppError::Shared,
                                    ),
                                ),
                            __piggyback_items,
                            move |__piggyback_items: P::Vec<User>| {
                                async move {
                                    let pool = pool.lend();
                                    let users = &__piggyback_items[..];
                                    if false {
                                        return P::never::<Result<(), AppError>>();
                                    }
                                    body
                                }
                            },
                        )
                    }
                },
            )
    };
    __piggyback_seat.result().await
}
