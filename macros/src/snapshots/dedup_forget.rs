async fn user<T>(id: T) -> User {
    let __call = {
        #[allow(unused_imports)]
        use P::probing::*;
        P::Both::enter(
            __user_needs_Self_in_its_signature::<T>(),
            (P::part(P::Part(&id).__piggyback_key()), ()),
            P::cloned(P::ty::<User>()),
            P::Joining::max_age_ms(P::Joining::new(), 5),
        )
    };
    P::Call::run(
            __call,
            async move {
                if false {
                    return P::never::<User>();
                }
                body
            },
        )
        .await
}
#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
fn __user_needs_Self_in_its_signature<T>() -> P::Both<impl ::core::ops::Fn() + 'static> {
    static __PIGGYBACK: P::Flights = P::Flights::free(P::module_path!(), "user");
    P::Both(&__PIGGYBACK, || {})
}
///Calls of [`user`](user) that begin after this one don't join a flight that began before it.
#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
fn forget_user<T>(id: T) {
    #[allow(unused_imports)]
    use P::probing::*;
    P::Both::forget(
        __user_needs_Self_in_its_signature::<T>(),
        (P::part(P::Part(&id).__piggyback_key()), ()),
        P::cloned(P::ty::<User>()),
    )
}
