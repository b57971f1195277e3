//! One group's queue: batches that fill, wait, and run. Pure: it takes an event and returns what to wake and drop, which the
//! table does after unlocking. Time is an argument.
//!
//! ```text
//!  add ──► open ──size, weight, unique, flush──► closed ──its task, its turn──► running ──► ended
//!            └──────delay or eager, its task, its turn──────────────────────────────▲
//! ```
//!
//! Each queued batch has a task with a number, its *turn*. Whenever the task is polled, it asks whether the batch may run. If the
//! task is lost (its runtime was shut down) or stands still (its runtime is not driven), the batch is *orphaned*: all its callers
//! are woken, and the first caller that is polled, or that joins, adopts the batch with a new task. If no caller does so in time,
//! because none is polled, the batch is *unadopted*, and any caller of the group may adopt it. The old task then finds another
//! turn. If the old task is polled before the new one and the batch may run, it runs the batch. So each poll makes progress under
//! load, where every task stands still for a while. A batch leaves the queue once: when a task takes it to run it, or when its
//! last item leaves.
//!
//! Closed batches are in *line*. Batches that can't start are *aside*, where they cost the others nothing: orphaned batches, and
//! batches that are *blocked* because an earlier batch has an item with an equal unique value. If the group is limited
//! (`concurrency`), only the first batch in line starts, and it is topped up with items of the batches behind it. A batch is
//! *urgent* if a bulk call waits for it: it starts in any case, since otherwise the two could wait for each other.
//!
//! The events are in the file of the side that causes them: [`caller`], [`task`], [`watch`]. [`order`] knows where each batch is and
//! which may run, a [`queued`] batch holds its items, and [`uniques`] holds the unique values.

use std::collections::VecDeque;

use hashbrown::HashTable;

use self::aside::Aside;
pub(crate) use self::caller::{Added, Coming, Left, Opened, Opening, Placed, Queuing};
use self::order::Boxed;
pub(crate) use self::queued::{Caller, Queued, position};
pub(crate) use self::task::{Again, Ends, Orphaned, Run, Step, TopUp};
use self::uniques::{Number, Uniques};
use super::start::{Permit, Start};

mod aside;
mod caller;
#[cfg(all(test, not(piggyback_loom)))]
mod histories;
mod order;
mod queued;
mod task;
#[cfg(test)]
mod tests;
mod uniques;
mod watch;

/// A batch's number.
pub(crate) type Id = u64;
/// An item's number in its batch.
pub(crate) type Ticket = u32;
/// A task's number for its batch: how often it was adopted.
pub(crate) type Turn = u32;

/// The most items for which a batch has room when it opens. More come with more room.
const MOST_ROOM: usize = 1024;

/// `T`: item, `U`: what is unique about it, `B`: the bulk call, `W`: waker, `C`: what the batch's callers share.
pub(crate) struct Group<T, U, B, W, C> {
    open: Option<Boxed<Queued<T, B, W, C>>>,
    /// Closed batches in the order of their numbers. `None`: the batch has gone, or is aside. The first and the last are `Some`.
    line: VecDeque<(Id, Option<Boxed<Queued<T, B, W, C>>>)>,
    /// Closed batches that can't start.
    aside: Aside<Queued<T, B, W, C>>,
    /// Empty boxes of batches that have gone, for new ones.
    spare: Vec<Boxed<Queued<T, B, W, C>>>,
    running: HashTable<Running<C>>,
    concurrency: usize,
    /// Items that are queued.
    waiting: usize,
    /// The number of items of the last batch that ran.
    expected: usize,
    /// There may be batches that none of their own callers has adopted in time.
    unadopted: bool,
    uniques: Option<Box<Uniques<U>>>,
}

/// A batch that runs.
struct Running<C> {
    id: Id,
    shared: C,
    values: Vec<Number>,
}

/// Why a batch takes no more items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    Size,
    Delay,
    Weight,
    Unique,
    Eager,
    Flush,
}

impl Closing {
    /// The name in stats, spans and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Delay => "delay",
            Self::Weight => "weight",
            Self::Unique => "unique",
            Self::Eager => "eager",
            Self::Flush => "flush",
        }
    }
}

impl<T, U: Eq, B: Start, W, C: Clone> Group<T, U, B, W, C> {
    pub(crate) fn new() -> Self {
        Self {
            open: None,
            line: VecDeque::new(),
            aside: Aside::new(),
            spare: Vec::new(),
            running: HashTable::new(),
            concurrency: usize::MAX,
            waiting: 0,
            expected: 0,
            unadopted: false,
            uniques: None,
        }
    }

    /// Whether it has no batches.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_none()
            && self.line.is_empty()
            && self.aside.is_empty()
            && self.running.is_empty()
    }

    /// Calls `look` with each queued batch, in no order. These are loops, here and in the files of the events, since chains of
    /// iterators are more to compile for each annotated function.
    fn each_queued(&self, mut look: impl FnMut(&Queued<T, B, W, C>)) {
        for (_, batch) in &self.line {
            if let Some(batch) = batch {
                look(batch);
            }
        }
        for batch in self.aside.all() {
            look(batch);
        }
        if let Some(open) = &self.open {
            look(open);
        }
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// How many items are queued.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether so many items are waiting that a further call is refused. Items whose callers were dropped don't count.
    #[inline]
    pub(crate) fn is_busy(&self, max_waiting: usize) -> bool {
        self.waiting >= max_waiting
    }

    /// Whether this batch is the open one.
    pub(crate) fn is_open(&self, id: Id) -> bool {
        self.open.as_ref().is_some_and(|open| open.id == id)
    }

    /// The number of items for which a batch that opens now should have room.
    pub(crate) fn room(&self) -> usize {
        self.expected.min(MOST_ROOM)
    }

    /// It is about to serve another key.
    pub(crate) fn forget_room(&mut self) {
        self.expected = 0;
    }

    pub(super) fn is_limited(&self) -> bool {
        self.concurrency != usize::MAX
    }

    /// Closes the open batch, if there is one. Returns its task, and all batches that are queued or running.
    pub(crate) fn flush(&mut self) -> (Option<W>, Vec<C>) {
        let task = self.close(Closing::Flush);
        for (_, batch) in &mut self.line {
            if let Some(batch) = batch {
                batch.refills = false;
            }
        }
        for batch in self.aside.all_mut() {
            batch.refills = false;
        }
        let mut under_way = Vec::new();
        self.each_queued(|batch| under_way.push(batch.shared.clone()));
        for running in &self.running {
            under_way.push(running.shared.clone());
        }
        (task, under_way)
    }

    /// Notes that calls inside of other executions have items in this batch. Returns whether the batch may have to wait for bulk
    /// calls of its group.
    #[cold]
    pub(crate) fn nests(&mut self, id: Id) -> bool {
        let waits = self.is_limited() || self.uniques.is_some();
        match self.find(id) {
            Some(batch) => {
                batch.nested = true;
                let waits =
                    waits || batch.waits_for_others() || batch.bulk.permit() != Permit::Unneeded;
                waits && !batch.urgent
            }
            None => false,
        }
    }

    /// A bulk call waits for this batch, which must not wait for the bulk call. Returns its task.
    #[cold]
    pub(crate) fn hurry(&mut self, id: Id) -> Option<W> {
        let batch = self.find(id)?;
        batch.urgent = true;
        batch.task.take()
    }
}

/// Spreads numbers that follow one another over all bits.
fn hash(id: Id) -> u64 {
    id.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
