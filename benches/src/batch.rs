//! What every contender for `#[batch]` offers, and who the contenders are.

pub(crate) mod bounds;
pub(crate) mod by_hand;
pub(crate) mod crates;
#[cfg(feature = "nightly-peers")]
pub(crate) mod nightly;

use crate::{
    measure::{Contender, Field, Kind, Lap, Who},
    report::versioned,
    side_by_side::Flavour,
};
use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Takes one item, gives its result.
pub(crate) trait Batcher: Send + Sync + 'static {
    /// Whether the bulk call runs in a task of its own, so that it holds up neither the queue nor
    /// the caller, and no caller's leaving stops it.
    const DETACHED: bool;

    /// What is set up for the workload, or why it can't be. Called inside of the runtime.
    fn new(setup: Setup) -> Result<Self, &'static str>
    where
        Self: Sized;

    fn call(&self, item: u64) -> impl Future<Output = u64> + Send;

    /// Called from time to time while callers wait, for what has no timer.
    fn nudge(&self) {}
}

/// What a workload asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) flavour: Flavour,
    pub(crate) size: usize,
    pub(crate) delay_ms: u64,
    /// Nobody waits while nothing runs.
    pub(crate) eager: bool,
    pub(crate) body: Body,
}

impl Setup {
    pub(crate) const fn new(flavour: Flavour, size: usize) -> Self {
        Self {
            flavour,
            size,
            delay_ms: 10,
            eager: false,
            body: Body::PlusOne,
        }
    }

    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// `x + 1`, at once.
    PlusOne,
    /// `x + 1`, after a millisecond.
    Slow,
}

/// Bulk calls so far.
static BULK_CALLS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn bulk_calls() -> f64 {
    BULK_CALLS.load(Relaxed) as f64
}

pub(crate) fn bulk_called() {
    BULK_CALLS.fetch_add(1, Relaxed);
}

impl Body {
    /// The bulk function, for contenders to which it is handed.
    pub(crate) async fn run(self, items: Vec<u64>) -> Vec<u64> {
        bulk_called();
        if self == Body::Slow {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        items.into_iter().map(|item| item + 1).collect()
    }
}

/// What is done with each contender.
pub(crate) trait Visitor {
    fn visit<B: Batcher>(&mut self, who: Who);

    /// One that can't be built here.
    fn absent(&mut self, name: String, reason: &'static str);
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
    visitor.visit::<crate::ours::Piggyback>(Who {
        name: "piggyback #[batch]".into(),
        kind: Kind::Ours,
    });
    #[cfg(feature = "nightly-peers")]
    visitor.visit::<nightly::Batched>(peer(versioned("batched")));
    #[cfg(not(feature = "nightly-peers"))]
    visitor.absent(
        versioned("batched"),
        "needs unstable features of the language: measured when this program is built by a nightly \
         compiler with `--features nightly-peers`",
    );
    visitor.visit::<crates::BatchAintOne>(peer(versioned("batch-aint-one")));
    visitor.visit::<crates::UltraBatch>(peer(versioned("ultra-batch")));
    visitor.visit::<crates::DataLoader>(peer(format!("{} DataLoader", versioned("async-graphql"))));
    visitor.visit::<crates::TowerBatch>(peer(versioned("tower-batch-control")));
    visitor.visit::<by_hand::Channel>(peer(format!(
        "{} mpsc + oneshot + spawn, by hand",
        versioned("tokio")
    )));
    visitor.visit::<by_hand::Carpool>(peer(format!(
        "{}'s queue + a worker by hand",
        versioned("carpool")
    )));
    visitor.visit::<bounds::Yield>(bound("one yield an item"));
    visitor.visit::<bounds::SharedVector>(bound("shared vector, the filler maps"));
}

/// A workload, for any contender.
pub(crate) trait Runner {
    const SETUP: Setup;

    /// Whether bounds tell anything about it.
    const BOUNDS: bool = true;

    fn lap<B: Batcher>(batcher: B) -> Lap;
}

/// The field of a workload: a lap for each contender that can do it.
pub(crate) fn field<R: Runner>() -> Field {
    struct Collect<R>(Field, std::marker::PhantomData<R>);
    impl<R: Runner> Visitor for Collect<R> {
        fn visit<B: Batcher>(&mut self, who: Who) {
            if who.kind == Kind::Bound && !R::BOUNDS {
                return;
            }
            let _inside = R::SETUP.flavour.runtime().enter();
            match B::new(R::SETUP) {
                Err(reason) => self.0.cannot.push((who.name, reason.into())),
                // Made anew where it is run: a worker that nobody uses should not exist.
                Ok(_) => self.0.contenders.push(Contender {
                    who,
                    set_up: Box::new(|| {
                        let _inside = R::SETUP.flavour.runtime().enter();
                        R::lap(B::new(R::SETUP).expect("could be made before"))
                    }),
                }),
            }
        }

        fn absent(&mut self, name: String, reason: &'static str) {
            self.0.cannot.push((name, reason.into()));
        }
    }
    let mut collect = Collect::<R>(Field::default(), std::marker::PhantomData);
    each(&mut collect);
    collect.0
}

/// Whether the contender of this name runs its bulk calls detached.
pub(crate) fn is_detached(name: &str) -> bool {
    struct Find<'a>(&'a str, bool);
    impl Visitor for Find<'_> {
        fn visit<B: Batcher>(&mut self, who: Who) {
            self.1 |= who.name == self.0 && B::DETACHED;
        }

        fn absent(&mut self, _: String, _: &'static str) {}
    }
    let mut find = Find(name, false);
    each(&mut find);
    find.1
}
