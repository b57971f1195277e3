async fn user<T>(id: T) -> User {
    let __forgets = P::Forgets::take();
    let ::core::option::Option::Some(__call) = ({
        #[allow(unused_imports)]
        use P::probing::*;
        static __PIGGYBACK: P::Site = P::Site::free(P::module_path!(), "user");
        P::Forgets::enter(
            __forgets,
            &__PIGGYBACK,
            || {},
            (P::part(P::Part(&id).__piggyback_key()), ()),
            P::cloned(P::ty::<User>()),
            P::Joining::max_age_ms(P::Joining::new(), 5),
        )
    }) else {
        return P::pending().await;
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
///Calls of [`user`](user) that begin after this one don't join a flight that began before it.
#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
fn forget_user<T>(id: T) {
    P::forget(user::<T>(id))
}
