async fn user(ids: u64) -> Result<::core::option::Option<User>, AppError> {
    #[allow(unused_imports, clippy::all, clippy::pedantic)]
    use dedup as _;
    #[allow(clippy::used_underscore_binding)]
    let __piggyback_call = {
        #[allow(unused_imports)]
        use P::{RefPart as _, ValuePart as _};
        static __PIGGYBACK: P::Flights = P::Flights::new(
            P::Path::Free(::core::module_path!(), "user"),
        );
        let __piggyback_waker = __PIGGYBACK.waker().await;
        __PIGGYBACK
            .enter(
                __piggyback_waker,
                || {},
                (P::part(P::Part(&ids).key()), ()),
                P::cloned(P::output::<Result<::core::option::Option<User>, AppError>>()),
                P::Joining::new(),
            )
    };
    __piggyback_call
        .run(async move {
            #[allow(clippy::used_underscore_binding)]
            let __piggyback_seat = {
                #[allow(unused_imports)]
                use P::{RefArg as _, RefPart as _, ValueArg as _, ValuePart as _};
                static __PIGGYBACK: P::Batches = P::Batches::new(
                    P::Path::Free(::core::module_path!(), "user"),
                );
                let __piggyback_waker = P::Waker.await;
                __PIGGYBACK
                    .join(
                        __piggyback_waker,
                        (),
                        P::item(ids),
                        || P::Limits::new(10, 10),
                        || {
                            P::shape(
                                    P::Each,
                                    P::output::<
                                        (Result<HashMap<u64, User>, AppError>, u64, _),
                                    >(),
                                )
                                .share(
                                    P::cloned(
                                            P::output::<
                                                Result<::core::option::Option<User>, AppError>,
                                            >(),
                                        )
                                        .of_batch(),
                                )
                                .bulk(move |__piggyback_items: P::Vec<u64>| {
                                    async move {
                                        let ids = __piggyback_items;
                                        if false {
                                            return P::never::<Result<HashMap<u64, User>, AppError>>();
                                        }
                                        body
                                    }
                                })
                        },
                    )
            };
            __piggyback_seat.await
        })
        .await
}
