async fn save(ids: &u64, names: &str) -> u64 {
    #[allow(unused_imports)]
    use P::probing::*;
    static __PIGGYBACK: P::Site = P::Site::free(P::module_path!(), "save");
    let __waker = P::Waker.await;
    let __item: (u64, ::std::string::String) = (P::lent(ids), P::lent(names));
    let __unique = P::unique(P::arg(P::of(&__item, |row| row.0)).__piggyback_part());
    let __open = || {
        let __limits = P::Limits::new(10, 10);
        let __bulk = P::shape(
                P::Each,
                P::ty::<(Vec<u64>, (u64, ::std::string::String))>(),
            )
            .__piggyback_share(P::BY_CLONE)
            .__piggyback_bulk(move |__items: P::Vec<(u64, ::std::string::String)>| async move {
                let (ids, __items1) = P::unzip(__items);
                let names = &P::refs::<str, _>(&__items1)[..];
                if false {
                    return P::never::<Vec<u64>>();
                }
                body
            });
        (__limits, __bulk)
    };
    let __seat = P::Item::unique(P::item(__item), __unique)
        .__piggyback_join(&__PIGGYBACK, __waker, (), __open);
    __seat.await
}
