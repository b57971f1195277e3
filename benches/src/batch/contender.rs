//! The interface of every contender for `#[batch]`.

use crate::{measure::Lap, record::Who, side_by_side::Flavour};
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

    /// Sets the contender up for the workload, or says why that is impossible. Called inside the runtime.
    fn new(setup: Setup) -> Result<Self, &'static str>
    where
        Self: Sized;

    fn call(&self, item: u64) -> impl Future<Output = u64> + Send;

    /// Called from time to time while callers wait, for what has no timer.
    fn nudge(&self) {}
}

/// The settings of a workload.
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

/// An action for each contender.
pub(crate) trait Visitor {
    fn visit<B: Batcher>(&mut self, who: Who);

    /// A contender that can't be built here.
    fn absent(&mut self, name: String, reason: &'static str);
}

/// Calls batched by tenant: those of two tenants never together.
pub(crate) trait Tenants: Send + Sync + 'static {
    fn call(&self, tenant: u64, item: u64) -> impl Future<Output = u64> + Send;
}

/// A workload, for any contender.
pub(crate) trait Runner {
    const SETUP: Setup;

    /// Whether bounds tell anything about it.
    const BOUNDS: bool = true;

    fn lap<B: Batcher>(batcher: B) -> Lap;
}
