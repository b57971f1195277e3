async fn save(users: &User) -> Result<(), AppError> {
    static __PIGGYBACK: P::Site = P::Site::free(P::module_path!(), "save");
    let __waker = P::Waker.await;
    let __max_waiting: usize = 100;
    let __open = || {
        let __limits = P::Limits::eager(P::Limits::without_delay(10));
        let __bulk = P::shape(P::Each, P::ty::<(Result<(), AppError>, User)>())
            .__piggyback_share(
                P::by_clone(P::ty::<Result<(), AppError>>().__piggyback_kind()),
            )
            .__piggyback_bulk(move |__items: P::Vec<User>| async move {
                let users = &__items[..];
                if false {
                    return P::never::<Result<(), AppError>>();
                }
                body
            });
        (__limits, __bulk)
    };
    let ::core::option::Option::Some(__seat) = P::lazily(
            __max_waiting,
            || { P::item(P::lent(users)) },
        )
        .__piggyback_try_join(&__PIGGYBACK, __waker, (), __open) else {
        return P::busy(P::ty::<Result<(), AppError>>(), AppError::Busy);
    };
    __seat.await
}
