async fn user(ids: u64) -> Result<::core::option::Option<User>, AppError> {
    #[allow(unused_imports, clippy::all, clippy::pedantic)]
    use dedup as _;
    let __call = {
        static __PIGGYBACK: P::Site = P::Site::free(P::module_path!(), "user");
        P::enter(
            &__PIGGYBACK,
            || {},
            (P::ByValue(&ids), ()),
            P::cloned_as(
                P::ty_with::<Result<::core::option::Option<User>, AppError>, User>()
                    .__piggyback_kind(),
            ),
            P::Joining::new(),
        )
    };
    let __heir = P::Call::heir(&__call);
    P::Call::run(
            __call,
            async move {
                static __PIGGYBACK: P::Site = P::Site::free(P::module_path!(), "user");
                let __waker = P::Waker.await;
                let __open = || {
                    let __limits = P::Limits::new(10, 10);
                    let __bulk = P::shape(
                            P::Each,
                            P::ty::<(Result<HashMap<u64, User>, AppError>, u64)>(),
                        )
                        .__piggyback_share(
                            P::cloned_as(
                                P::ty_with::<
                                    Result<::core::option::Option<User>, AppError>,
                                    User,
                                >()
                                    .__piggyback_kind(),
                            ),
                        )
                        .__piggyback_bulk(move |ids: P::Vec<u64>| async move {
                            if false {
                                return P::never::<Result<HashMap<u64, User>, AppError>>();
                            }
                            body
                        });
                    (__limits, __bulk)
                };
                let __seat = P::item(ids)
                    .__piggyback_join_as(&__PIGGYBACK, __heir, __waker, (), __open);
                __seat.await
            },
        )
        .await
}
