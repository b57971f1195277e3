//! The four functions that every contender for `#[dedup]` offers.

use crate::{alloc, measure::Lap, record::Who};
use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::sync::Notify;

/// The event that a `gated` body waits for.
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

/// An action for each contender.
pub(crate) trait Visitor {
    fn visit<C: Calls>(&mut self, who: Who, make: fn() -> C);
}

/// A workload, for any contender.
pub(crate) trait Runner {
    fn lap<C: Calls>(calls: C) -> Lap;
}
