async fn save(pool: &Pool, users: User) -> Result<(), AppError> {
    #[allow(clippy::used_underscore_binding)]
    let __piggyback_seat = {
        #[allow(unused_imports)]
        use P::{RefArg as _, RefPart as _, ValueArg as _, ValuePart as _};
        static __PIGGYBACK: P::Batches = P::Batches::new(
            P::Path::Free(::core::module_path!(), "save"),
        );
        let __piggyback_waker = P::Waker.await;
        __PIGGYBACK
            .join(
                __piggyback_waker,
                (),
                P::item(users),
                || P::Limits::new(10, 10),
                || {
                    let pool = P::own(P::arg(pool).part());
                    P::shape(P::Each, P::output::<(Result<(), AppError>, User, _)>())
                        .share(
                            P::shared_err(
                                P::output::<Result<(), AppError>>(),
                                AppError::Shared,
                            ),
                        )
                        .bulk(move |__piggyback_items: P::Vec<User>| {
                            async move {
                                let pool = pool.lend();
                                let users = &__piggyback_items[..];
                                if false {
                                    return P::never::<Result<(), AppError>>();
                                }
                                body
                            }
                        })
                },
            )
    };
    __piggyback_seat.await
}
