async fn save(ids: &u64, names: &str) -> u64 {
    #[allow(clippy::used_underscore_binding)]
    let __piggyback_seat = {
        #[allow(unused_imports)]
        use P::{RefArg as _, RefPart as _, ValueArg as _, ValuePart as _};
        static __PIGGYBACK: P::Batches = P::Batches::new(
            P::Path::Free(::core::module_path!(), "save"),
        );
        let __piggyback_waker = P::Waker.await;
        __PIGGYBACK
            .join(
                __piggyback_waker,
                (),
                {
                    let __piggyback_item: (u64, ::std::string::String) = (
                        P::lent(ids),
                        P::lent(names),
                    );
                    let __piggyback_unique = P::unique(
                        P::arg(P::of(&__piggyback_item, |row| row.0)).part(),
                    );
                    P::item(__piggyback_item).unique(__piggyback_unique)
                },
                || P::Limits::new(10, 10),
                || {
                    P::shape(
                            P::Each,
                            P::output::<(Vec<u64>, (u64, ::std::string::String), _)>(),
                        )
                        .share(P::ByClone)
                        .bulk(move |
                            __piggyback_items: P::Vec<(u64, ::std::string::String)>|
                        {
                            async move {
                                let mut __piggyback_items0 = P::Vec::with_capacity(
                                    __piggyback_items.len(),
                                );
                                let mut __piggyback_items1 = P::Vec::with_capacity(
                                    __piggyback_items.len(),
                                );
                                for (__piggyback_item0, __piggyback_item1) in __piggyback_items {
                                    __piggyback_items0.push(__piggyback_item0);
                                    __piggyback_items1.push(__piggyback_item1);
                                }
                                let ids = __piggyback_items0;
                                let __piggyback_items1 = P::refs::<
                                    str,
                                    _,
                                >(&__piggyback_items1);
                                let names = &__piggyback_items1[..];
                                if false {
                                    return P::never::<Vec<u64>>();
                                }
                                body
                            }
                        })
                },
            )
    };
    __piggyback_seat.await
}
