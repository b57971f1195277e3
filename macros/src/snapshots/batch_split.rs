async fn save(&self, users: User) -> Result<(), AppError> {
    #[allow(unused_imports)]
    use P::probing::*;
    static __PIGGYBACK: P::Site = P::Site::method(P::module_path!(), "save");
    let __waker = P::Waker.await;
    let __open = || {
        let __limits = P::Limits::new(10, 10);
        let __self = P::own_self(P::ByRef(self));
        let __bulk = P::again(P::ty::<User>())
            .__piggyback_by(P::shape(P::Each, P::ty::<(Result<(), AppError>, User)>()))
            .__piggyback_share_split(P::BY_CLONE)
            .__piggyback_split(move |__items: P::Vec<User>| {
                let __self = P::Clone::clone(&__self);
                async move {
                    let __self = __self.__piggyback_lend();
                    let users = &__items[..];
                    if false {
                        return P::never::<Result<(), AppError>>();
                    }
                    __self.body
                }
            });
        (__limits, __bulk)
    };
    let __seat = P::item(users)
        .__piggyback_join(
            &__PIGGYBACK,
            __waker,
            (
                P::group_part((&(self.tenant)).__piggyback_as_part().__piggyback_key()),
                (),
            ),
            __open,
        );
    __seat.await
}
