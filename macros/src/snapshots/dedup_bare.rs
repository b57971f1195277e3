pub async fn user(id: u64) -> User {
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
                P::cloned(P::output::<User>()),
                P::Joining::new(),
            )
    };
    __piggyback_call
        .run(async move {
            if false {
                return P::never::<User>();
            }
            body
        })
        .await
}
