async fn user(id: u64) -> Result<User, AppError> {
    let __forgets = P::Forgets::take();
    let ::core::option::Option::Some((__call, __trip)) = (match P::fleet(&FLEET) {
        __across => {
            static __PIGGYBACK: P::Site = P::Site::free(P::module_path!(), "user");
            __across
                .__piggyback_forgets(
                    __forgets,
                    &__PIGGYBACK,
                    || {},
                    (__across.__piggyback_part(P::ByValue(&id)), ()),
                    P::cloned_as(P::ty::<Result<User, AppError>>().__piggyback_kind()),
                    P::Joining::new(),
                    __across
                        .__piggyback_payload(
                            P::ty::<Result<User, AppError>>().__piggyback_kind(),
                        ),
                )
        }
    }) else {
        return P::pending().await;
    };
    P::Call::spawn(
            __call,
            || {
                __trip
                    .__piggyback_across(async move {
                        if false {
                            return P::never::<Result<User, AppError>>();
                        }
                        body
                    })
            },
        )
        .await
}
///Calls of [`user`](user) that begin after this one don't join a flight that began before it.
#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
fn forget_user(id: u64) -> P::Forgotten {
    P::forget_across(user(id))
}
