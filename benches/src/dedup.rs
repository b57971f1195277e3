//! The contenders for `#[dedup]`.

pub(crate) mod bounds;
pub(crate) mod by_hand;
pub(crate) mod caches;
pub(crate) mod contender;
pub(crate) mod singleflights;

use crate::{
    measure::{Contender, Field},
    ours,
    record::{Kind, Who},
    report::versioned,
};
pub(crate) use contender::*;

/// All contenders.
pub(crate) fn each(visitor: &mut impl Visitor) {
    let peer = |name: String| Who {
        name,
        kind: Kind::Peer,
    };
    let bound = |name: &str| Who {
        name: name.into(),
        kind: Kind::Bound,
    };
    visitor.visit(
        Who {
            name: "piggyback #[dedup]".into(),
            kind: Kind::Ours,
        },
        || ours::Piggyback::Dedup,
    );
    visitor.visit(
        peer(format!("{} get_with + invalidate", versioned("moka"))),
        || By(caches::Moka::new()),
    );
    visitor.visit(
        peer(format!("{} by_key + remove", versioned("cached"))),
        || caches::Cached,
    );
    visitor.visit(
        peer(format!("{} guard + remove", versioned("quick_cache"))),
        || By(caches::QuickCache::new()),
    );
    visitor.visit(peer(versioned("singleflight-async")), || {
        By(singleflights::SingleflightAsync::default())
    });
    visitor.visit(peer(versioned("async_singleflight")), || {
        By(singleflights::AsyncSingleflight::default())
    });
    visitor.visit(peer(versioned("rs-singleflight")), || {
        By(singleflights::RsSingleflight::default())
    });
    visitor.visit(peer(versioned("uniflight")), || {
        By(singleflights::Uniflight::default())
    });
    visitor.visit(peer(versioned("tower-resilience-coalesce")), || {
        By(singleflights::TowerCoalesce::new())
    });
    visitor.visit(
        peer(format!(
            "{} Shared in a mutexed map, by hand",
            versioned("futures")
        )),
        || By(by_hand::SharedFuture::default()),
    );
    visitor.visit(
        peer(format!(
            "{} OnceCell in a DashMap, by hand",
            versioned("tokio")
        )),
        || By(by_hand::Cells::default()),
    );
    visitor.visit(
        peer(format!(
            "{} broadcast in a mutexed map, by hand",
            versioned("tokio")
        )),
        || By(by_hand::Broadcast::default()),
    );
    visitor.visit(bound("bare call"), || bounds::Bare);
    visitor.visit(bound("map + Arc"), || By(bounds::Map::default()));
    visitor.visit(bound("wakers, one key"), || By(bounds::OneKey::default()));
}

/// The field of a workload: a lap for each contender that can do it.
pub(crate) fn field<R: Runner>(family: &'static str) -> Field {
    struct Collect<R> {
        family: &'static str,
        field: Field,
        runner: std::marker::PhantomData<R>,
    }
    impl<R: Runner> Visitor for Collect<R> {
        fn visit<C: Calls>(&mut self, who: Who, make: fn() -> C) {
            let reason = C::CANNOT.iter().find(|(family, _)| *family == self.family);
            match reason {
                None => self.field.contenders.push(Contender {
                    who,
                    set_up: Box::new(move || R::lap(make())),
                }),
                // A bound that has nothing to say about a workload needs no apology.
                Some(_) if who.kind == Kind::Bound => {}
                Some((_, reason)) => self.field.cannot.push((who.name, (*reason).into())),
            }
        }
    }
    let mut collect = Collect::<R> {
        family,
        field: Field::default(),
        runner: std::marker::PhantomData,
    };
    each(&mut collect);
    collect.field
}
