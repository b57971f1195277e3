async fn user(pool: &Pool, id: u64) -> Result<User, AppError> {
    let __call = {
        static __PIGGYBACK: P::Site = P::Site::free(P::module_path!(), "user");
        P::enter(
            &__PIGGYBACK,
            || {},
            (P::ByValue(&id), ()),
            P::share_err(P::ty::<Result<User, AppError>>(), AppError::Shared),
            P::Joining::new(),
        )
    };
    P::Call::run(
            __call,
            async move {
                if false {
                    return P::never::<Result<User, AppError>>();
                }
                body
            },
        )
        .await
}
