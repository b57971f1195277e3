async fn save(&self, tag: Option<&str>, ids: (u64, u64)) -> Vec<Row> {
    #[allow(unused_imports)]
    use P::probing::*;
    static __PIGGYBACK: P::Site = P::Site::method(P::module_path!(), "save");
    let __waker = P::Waker.await;
    let __item: (u64, u64) = ids;
    let __weight = P::weight(&__item, |row| row.1);
    let __open = || {
        let __limits = P::Limits::eager(
            P::Limits::concurrency(P::Limits::max_weight(P::Limits::new(10, 10), 5), 2),
        );
        let __self = P::own_self(P::ByRef(self));
        let tag = P::own(P::group_part(P::Part(&tag).__piggyback_key()));
        let __bulk = P::shape_by_part(
                P::ManyBy,
                P::ty::<(Vec<Row>, (u64, u64))>(),
                |row| row.0,
            )
            .__piggyback_share(
                P::rows(P::ty::<Vec<Row>>().__piggyback_row(), P::BY_CLONE),
            )
            .__piggyback_bulk(move |__items: P::Vec<(u64, u64)>| async move {
                let __self = __self.__piggyback_lend();
                let tag = tag.__piggyback_lend();
                let ids = P::into_iterator(__items);
                if false {
                    return P::never::<Vec<Row>>();
                }
                __self.body
            });
        (__limits, __bulk)
    };
    let __seat = P::Item::weight(P::item(__item), __weight)
        .__piggyback_join_in(
            &__PIGGYBACK,
            &(self.scope),
            __waker,
            (P::group_part(P::Part(&tag).__piggyback_key()), ()),
            __open,
        );
    __seat.await
}
