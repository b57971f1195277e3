async fn user(pool: &Pool, id: u64) -> Result<User, AppError> {
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
