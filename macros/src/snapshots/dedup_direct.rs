pub async fn user(&self, Path(id): Path<u64>) -> User {
    let __call = {
        #[allow(unused_imports)]
        use P::probing::*;
        static __PIGGYBACK: P::Site = P::Site::method(P::module_path!(), "user");
        P::enter(
            &__PIGGYBACK,
            || {},
            (P::part(P::Part(&id).__piggyback_key()), ()),
            P::cloned(P::ty::<User>()),
            P::Joining::new(),
        )
    };
    P::Call::run(__call, async move { Self::user_now(self, Path(id)).await }).await
}
pub async fn user_now(&self, Path(id): Path<u64>) -> User {
    body
}
