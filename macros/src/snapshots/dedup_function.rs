async fn user(pool: &Pool, id: u64) -> Result<User, AppError> {
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
                (P::part(P::Part(&id).key()), ()),
                P::share_err(P::output::<Result<User, AppError>>(), AppError::Shared),
                P::Joining::new(),
            )
    };
    __piggyback_call
        .run(async move {
            if false {
                return P::never::<Result<User, AppError>>();
            }
            body
        })
        .await
}
