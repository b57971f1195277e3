async fn save(pool: &Pool, users: User) -> Result<(), AppError> {
    static __PIGGYBACK: P::Site = P::Site::free(P::module_path!(), "save");
    let __waker = P::Waker.await;
    let __open = || {
        let __limits = P::Limits::new(10, 10);
        let pool = P::own(P::ByRef(pool));
        let __bulk = P::shape(P::Each, P::ty::<(Result<(), AppError>, User)>())
            .__piggyback_share(
                P::share_err_in_batch(P::ty::<Result<(), AppError>>(), AppError::Shared),
            )
            .__piggyback_bulk(move |__items: P::Vec<User>| async move {
                let pool = pool.__piggyback_lend();
                let users = &__items[..];
                if false {
                    return P::never::<Result<(), AppError>>();
                }
                body
            });
        (__limits, __bulk)
    };
    let __seat = P::item(users).__piggyback_join(&__PIGGYBACK, __waker, (), __open);
    __seat.await
}
