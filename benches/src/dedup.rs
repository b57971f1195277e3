//! The four functions that every contender for `#[dedup]` offers, and who the contenders are.

pub(crate) mod bounds;
pub(crate) mod by_hand;
pub(crate) mod caches;
pub(crate) mod singleflights;

use crate::{
    alloc,
    measure::{Contender, Field, Kind, Lap, Who},
    report::versioned,
};
use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::sync::Notify;

/// What a `gated` body waits for.
pub(crate) static GATE: Notify = Notify::const_new();

/// Executions of bodies, in counted laps.
static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn executed() {
    if alloc::counting() {
        EXECUTIONS.fetch_add(1, Relaxed);
    }
}

pub(crate) fn executions() -> f64 {
    EXECUTIONS.load(Relaxed) as f64
}

/// One function for each workload, all shared in the contender's way.
pub(crate) trait Calls: Send + Sync + 'static {
    /// Families of workloads that it can't do, each with the reason.
    const CANNOT: &'static [(&'static str, &'static str)] = &[];

    /// A body that is ready at once.
    fn ready(&self, key: u64) -> impl Future<Output = u64> + Send;
    /// The same, with a key that is lent.
    fn ready_str(&self, key: &str) -> impl Future<Output = u64> + Send;
    /// A body that waits for [`GATE`].
    fn gated(&self, key: u64) -> impl Future<Output = u64> + Send;
    /// A body that yields once.
    fn yielding(&self, key: u64) -> impl Future<Output = u64> + Send;
}

/// The bodies, for contenders to which they are handed.
pub(crate) mod body {
    use super::{GATE, executed};

    pub(crate) async fn ready(answer: u64) -> u64 {
        executed();
        answer
    }

    pub(crate) async fn gated(key: u64) -> u64 {
        GATE.notified().await;
        executed();
        key
    }

    pub(crate) async fn yielding(key: u64) -> u64 {
        tokio::task::yield_now().await;
        executed();
        key
    }
}

/// A contender to which a key is handed and what makes the body: only a leader needs one.
pub(crate) trait Dedup: Send + Sync + 'static {
    const CANNOT: &'static [(&'static str, &'static str)] = &[];

    fn get<F>(
        &self,
        key: u64,
        body: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = u64> + Send
    where
        F: Future<Output = u64> + Send + 'static;

    fn get_str<F>(
        &self,
        key: &str,
        body: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = u64> + Send
    where
        F: Future<Output = u64> + Send + 'static;
}

/// Hands the bodies to a [`Dedup`].
pub(crate) struct By<D>(pub(crate) D);

impl<D: Dedup> Calls for By<D> {
    const CANNOT: &'static [(&'static str, &'static str)] = D::CANNOT;

    fn ready(&self, key: u64) -> impl Future<Output = u64> + Send {
        self.0.get(key, move || body::ready(key))
    }

    fn ready_str(&self, key: &str) -> impl Future<Output = u64> + Send {
        let answer = key.len() as u64;
        self.0.get_str(key, move || body::ready(answer))
    }

    fn gated(&self, key: u64) -> impl Future<Output = u64> + Send {
        self.0.get(key, move || body::gated(key))
    }

    fn yielding(&self, key: u64) -> impl Future<Output = u64> + Send {
        self.0.get(key, move || body::yielding(key))
    }
}

/// What is done with each contender.
pub(crate) trait Visitor {
    fn visit<C: Calls>(&mut self, who: Who, make: fn() -> C);
}

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
        || crate::ours::Piggyback::Dedup,
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

/// A workload, for any contender.
pub(crate) trait Runner {
    fn lap<C: Calls>(calls: C) -> Lap;
}
