//! Which executions of this process wait for which: the [`graph`](super::graph) behind its lock.
//!
//! The lock is the last that is taken: a batch's edge is noted under the lock of the batch's shard, since the batch must not
//! start before its bulk call could see who waits for it. Nothing else is locked, and no user code runs, while it is held.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::execution::Execution;
use super::frames;
use super::graph::Graph;
pub(crate) use super::graph::{Circle, WaitId};

/// Lets a batch start although its limiter does not allow it.
type Hurry = Box<dyn FnOnce() + Send>;

static WAITS: Mutex<Option<Graph<Hurry>>> = Mutex::new(None);

fn waits() -> MutexGuard<'static, Option<Graph<Hurry>>> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that is being polled inside an execution waits for an execution from now on. `Err`: that one waits for the call,
/// which must not wait. Batches that are queued behind the call's own bulk call are told to start.
#[cold]
pub(crate) fn begin(target: Execution, limiters: &[Execution]) -> Result<WaitId, Circle> {
    let around = frames::around();
    let starts: Vec<_> = limiters.iter().copied().chain([target]).collect();
    let mut hurried = Vec::new();
    let wait = {
        let mut waits = waits();
        let waits = waits.get_or_insert_with(Graph::new);
        waits
            .untangle(&starts, &around, &mut hurried)
            .map(|()| waits.note(&around, target))
    };
    run(hurried);
    wait
}

/// A call that is being polled inside an execution has an item in a batch that has not started. It waits for nothing but its
/// limiters, so this closes no circle: see [`queue`].
#[cold]
pub(crate) fn join(batch: Execution) -> WaitId {
    let around = frames::around();
    waits().get_or_insert_with(Graph::new).note(&around, batch)
}

/// The batch that a call has just joined may not start yet. If it would wait for that call, it starts at once.
#[cold]
pub(crate) fn queue(batch: Execution, limiters: &[Execution], hurry: Hurry) {
    let around = frames::around();
    let mut hurried = Vec::new();
    let known = {
        let mut waits = waits();
        let waits = waits.get_or_insert_with(Graph::new);
        let known = waits.queue(batch, limiters, hurry);
        // A circle that no queued batch is part of can't be: the batch waits for its limiters only.
        let _ = waits.untangle(&[batch], &around, &mut hurried);
        known
    };
    drop(known);
    run(hurried);
}

/// Items of a batch that somebody inside an execution waits for have moved to a batch that is about to start.
#[cold]
pub(crate) fn follow(from: Execution, to: Execution) {
    if let Some(waits) = &mut *waits() {
        waits.follow(from, to);
    }
}

/// The call waits no more.
#[inline]
pub(crate) fn end(wait: WaitId) {
    if wait != 0 {
        strike(wait);
    }
}

#[cold]
fn strike(wait: WaitId) {
    let mut dropped = Vec::new();
    if let Some(waits) = &mut *waits() {
        waits.strike(wait, &mut dropped);
    }
}

/// Whether a call that waits is polled inside another execution than when its wait was noted, or was not inside any then.
#[inline]
pub(crate) fn has_moved(wait: WaitId) -> bool {
    frames::innermost().is_some_and(|innermost| wait == 0 || is_not_from(wait, innermost))
}

#[cold]
fn is_not_from(wait: WaitId, innermost: Execution) -> bool {
    let waits = waits();
    waits
        .as_ref()
        .is_none_or(|waits| !waits.is_from(wait, innermost))
}

fn run(hurried: Vec<Hurry>) {
    for hurry in hurried {
        hurry();
    }
}
