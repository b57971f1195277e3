async fn user(ids: u64) -> Result<::core::option::Option<User>, AppError> {
    #[allow(unused_imports, clippy::all, clippy::pedantic)]
    use dedup as _;
    let __piggyback_flights: &'static P::Flights = {
        static FLIGHTS: P::Flights = P::Flights::new(
            P::Path::Free(::core::module_path!(), "user"),
        );
        &FLIGHTS
    };
    #[allow(unused_imports, clippy::used_underscore_binding)]
    let __piggyback_call = {
        use P::{RefPart as _, ValuePart as _};
        __piggyback_flights
            .enter(
                || {},
                (P::part(P::Part(&ids).key()), ()),
                P::cloned(P::output::<Result<::core::option::Option<User>, AppError>>()),
                P::Joining::new(),
            )
    };
    __piggyback_call
        .run(async move {
            let __piggyback_batches: &'static P::Batches = {
                static BATCHES: P::Batches = P::Batches::new(
                    P::Path::Free(::core::module_path!(), "user"),
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
                        P::Item::new(ids),
                        || P::Limits::new(10, 10),
                        || {
                            move |__piggyback_items: P::Vec<u64>| {
                                P::bulk(
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
                                        ),
                                    __piggyback_items,
                                    move |__piggyback_items: P::Vec<u64>| {
                                        async move {
                                            let ids = __piggyback_items;
                                            if false {
                                                return P::never::<Result<HashMap<u64, User>, AppError>>();
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
        })
        .await
}
