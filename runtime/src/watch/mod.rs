//! Looks every now and then for executions that make no progress although they could.
//!
//! A table is watched as a whole. While there is something in it to look at it is *armed*, and the watch passes through it
//! every [`TICK`]; a flight pays with a note in its shard's list. One thread, `piggyback-watch`, serves the whole process
//! by std's clock. It depends on no runtime, so a runtime that is paused, late, stopped or without timers changes nothing
//! for it, and it changes nothing for the runtime: a paused clock is neither advanced nor kept busy.
//!
//! A leader that was not polled for [`STALL`] is *prodded*: its waker is woken once more. After another [`STALL`] it is
//! *deposed*, and its followers are woken.
//!
//! The thread runs no user code, unless no other thread can be started. A waker, the drop of a value and a subscriber of events may panic or block, so
//! what a look finds is handed to a second thread, `piggyback-wake`, one job per table. There are more of these threads
//! only while one of them is blocked: if a job is still queued at the next look, another thread is started, up to
//! [`MOST_HELPERS`](threads::MOST_HELPERS). A table is not looked at while a job of it is pending, so a waker that blocks occupies one thread and
//! delays only its own function. A job wakes first, then drops, then emits events, and guards each of these calls by
//! itself.
//!
//! Both threads wait without waking up when there is nothing to do, and end after [`LINGER`](threads::LINGER). If no thread can be started,
//! each later call that would need the watch tries again. The memory of a table is not kept by the watch.
//!
//! The threads inherit the scheduling priority and the CPU mask of the thread that happens to start them. std can't
//! change either.

mod armed;
#[cfg(test)]
mod models;
#[cfg(test)]
mod tests;
mod threads;

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Waker;
use std::time::Duration;

use self::armed::Armed;
use self::threads::{Process, WATCHING};
use crate::observe::Function;
use crate::sync::{AtomicBool, AtomicU32};
use crate::wake::{discard, drop_guarded, guarded, wake_all};

/// The time for which an execution may stand still before its leader is woken, and then again before it is deposed.
pub(crate) const STALL: Duration = Duration::from_millis(100);

/// The time between the end of one pass and the start of the next.
const TICK: Duration = STALL.checked_div(2).unwrap();

/// A table that has something to look at.
pub(crate) trait Watched: Send + Sync + 'static {
    fn watch(&self) -> &Watch;
    fn function(&self) -> &Function;
    /// Goes on with a pass. Returns whether anything is left in the table, or `None` if the budget is spent before the
    /// pass has ended. Calls no user code: what is to be woken, dropped and told goes to `actions`.
    fn look(&self, pass: &mut Pass, budget: &mut Budget, actions: &mut Actions) -> Option<bool>;
    /// Whether there is nothing to look at.
    fn is_quiet(&self) -> bool;

    /// A whole pass, and what follows from it. Returns whether anything is left.
    #[cfg(test)]
    fn tick(&self) -> bool {
        let mut actions = Actions::default();
        let left = self.look(&mut Pass::default(), &mut Budget(u32::MAX), &mut actions);
        actions.act(self.function());
        left.expect("this budget is enough for any test")
    }
}

/// Something that stands still, of which an event tells.
pub(crate) trait Stalled: Send + Sync {
    fn warn(&self, function: &Function);
    /// Says that others have waited for it for long.
    fn warn_long(&self, _: &Function) {}
}

/// The position of a pass through a table.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    pub(crate) shard: usize,
    /// In the shard; what it means is the table's business. `None`: the shard has not been looked at.
    pub(crate) at: Option<usize>,
    /// Whether anything was left in the shards before.
    pub(crate) any: bool,
}

impl Pass {
    /// Goes on to the next shard. `any` says whether anything is left in this one.
    pub(crate) fn next_shard(&mut self, any: bool) {
        self.shard += 1;
        self.at = None;
        self.any |= any;
    }
}

/// The work that is left for this tick, in nanoseconds by a rough estimate.
///
/// It keeps the watch below a twentieth of one core, however much there is to look at: what the budget of a tick does not
/// pay for waits for the next tick, so that very many executions are looked at less often.
#[derive(Debug)]
pub(crate) struct Budget(u32);

impl Budget {
    /// The budget of one tick: 3 % of a core.
    const TICK: u32 = 1_500_000;
    /// The visit of a table.
    const VISIT: u32 = 150;
    /// A look at a flight.
    pub(crate) const FLIGHT: u32 = 100;
    /// A look at a group, most of whose queue is in no cache.
    pub(crate) const GROUP: u32 = 350;
    /// A leader that is woken, is polled, and goes on waiting.
    pub(crate) const PROD: u32 = 500;

    pub(crate) fn spend(&mut self, cost: u32) {
        self.0 = self.0.saturating_sub(cost);
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

/// The work that a look has found. All of it calls user code.
#[derive(Default)]
pub(crate) struct Actions {
    pub(crate) wake: Vec<Waker>,
    pub(crate) drop: Vec<Waker>,
    /// Places in queues for permits, to be dropped: that may wake others.
    pub(crate) places: Vec<Box<dyn Send>>,
    pub(crate) stalled: Vec<Arc<dyn Stalled>>,
    /// Executions for which callers have waited for a long time.
    pub(crate) long: Vec<Arc<dyn Stalled>>,
}

impl Actions {
    fn is_empty(&self) -> bool {
        self.wake.is_empty()
            && self.drop.is_empty()
            && self.places.is_empty()
            && self.stalled.is_empty()
            && self.long.is_empty()
    }

    /// Wakes first, tells last.
    fn act(self, function: &Function) {
        wake_all(self.wake);
        self.drop.into_iter().for_each(|waker| discard(Some(waker)));
        for place in self.places {
            drop_guarded(place);
        }
        for stalled in self.stalled {
            guarded(|| stalled.warn(function));
            drop_guarded(stalled);
        }
        for long in self.long {
            guarded(|| long.warn_long(function));
            drop_guarded(long);
        }
    }
}

/// The state of a table's watch.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The process whose watch has the table in its list, or 0.
    armed: AtomicU32,
    /// Whether the work that the last look has found is still being done.
    acting: AtomicBool,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            armed: AtomicU32::new(0),
            acting: AtomicBool::new(false),
        }
    }

    /// Only the ticks that a model makes.
    #[cfg(test)]
    pub(crate) fn by_hand(&self) {
        self.armed.store(BY_HAND, SeqCst);
    }
}

#[cfg(test)]
const BY_HAND: u32 = u32::MAX;

/// Has the table watched from now on, until there is nothing left to look at. Called after a note was left in a shard's
/// list under its lock, so that either the last look sees the note or this call sees that the table is disarmed.
#[inline]
pub(crate) fn arm<H: Deref<Target: Watched + Sized> + Clone + Send + 'static>(table: &H) {
    let armed = table.watch().armed.load(SeqCst);
    if armed == 0 || armed != WATCHING.load(SeqCst) || may_have_forked() {
        start(table);
    }
}

/// A child after `fork` inherits tables that are armed, and no thread. Whether this is such a child is a system call, so only
/// the first call of each thread and then every 64th asks. A table that is armed anew always does.
#[inline]
fn may_have_forked() -> bool {
    thread_local! {
        static CALLS: Cell<u8> = const { Cell::new(0) };
    }
    CALLS.with(|calls| calls.replace(calls.get().wrapping_add(1))) % 64 == 0
}

#[cold]
fn start<H: Deref<Target: Watched + Sized> + Clone + Send + 'static>(table: &H) {
    #[cfg(test)]
    if table.watch().armed.load(SeqCst) == BY_HAND {
        return;
    }
    let process = Process::current();
    process.arm(Armed::new(table, process.id));
}
