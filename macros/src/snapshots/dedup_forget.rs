async fn user<T>(id: T) -> User {
    #[allow(clippy::used_underscore_binding)]
    let __piggyback_call = {
        #[allow(unused_imports)]
        use P::{RefPart as _, ValuePart as _};
        let (__piggyback_flights, __piggyback_marker) = __user_needs_Self_in_its_signature::<
            T,
        >();
        let __piggyback_waker = __piggyback_flights.waker().await;
        __piggyback_flights
            .enter(
                __piggyback_waker,
                __piggyback_marker,
                (P::part(P::Part(&id).key()), ()),
                P::cloned(P::output::<User>()),
                P::Joining::new().max_age_ms(5),
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
#[doc(hidden)]
#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
fn __user_needs_Self_in_its_signature<T>() -> (
    &'static P::Flights,
    impl ::core::ops::Fn() + 'static,
) {
    static FLIGHTS: P::Flights = P::Flights::new(
        P::Path::Free(::core::module_path!(), "user"),
    );
    (&FLIGHTS, || {})
}
///Calls of [`user`](user) that begin after this one don't join a flight that began before it.
#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
fn forget_user<T>(id: T) {
    use P::{RefPart as _, ValuePart as _};
    let (__piggyback_flights, __piggyback_marker) = __user_needs_Self_in_its_signature::<
        T,
    >();
    __piggyback_flights
        .forget(
            __piggyback_marker,
            (P::part(P::Part(&id).key()), ()),
            P::cloned(P::output::<User>()),
        )
}
