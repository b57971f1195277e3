//! One group's queue: batches that fill, wait, and run. Pure: an event goes in, what to wake and drop comes out, and the
//! caller acts on it after unlocking. Time is an argument.
//!
//! ```text
//!  add ──► open ──size, weight, unique, flush──► closed ──its task, its turn──► running ──► ended
//!            └──────delay or eager, its task, its turn──────────────────────────────▲
//! ```
//!
//! Each queued batch has a task somewhere, known by its *turn*, that is polled to ask whether it may run. When the task
//! is lost (its runtime stopped) or stands still (nobody drives it), the batch is *orphaned*: all its callers are woken, and
//! the first that is polled, or that comes, adopts it with a task of its own. If none of them does so in time, because they
//! are not polled or their futures were forgotten, it is *abandoned*, and any caller of the group adopts it. The old task then
//! finds another turn. If it is polled before the new task and the batch may run, it runs the batch: under load, where every
//! task stands still for a while, each poll makes progress. A batch leaves the queue once: when a task takes it to run it, or when its last item goes.
//!
//! Closed batches stand in *line*. Those that can't start stand *aside*, where they cost the others nothing: orphaned ones,
//! and those that are *blocked* because an earlier batch has an item with an equal unique value. If the group is limited
//! (`concurrency`), only the first in line starts, and it is topped up with items of those behind it. A batch that a bulk call
//! waits for is *urgent*: it starts in any case, since otherwise the two could wait for each other.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::ops::{Deref, DerefMut};

use hashbrown::HashTable;
use tokio::time::Instant;

pub(crate) use self::queued::{Caller, Queued, position};
use self::queued::{Extra, New, Taken};
use self::uniques::{Number, Released, Uniques};
use super::limits::Limits;
use super::start::{Grant, Permit, Start};
use crate::observe;
use crate::sync::Arc;

#[cfg(all(test, not(piggyback_loom)))]
mod model;
mod queued;
#[cfg(test)]
mod tests;
mod uniques;

/// A batch's number.
pub(crate) type Id = u64;
/// An item's number in its batch.
pub(crate) type Ticket = u32;
/// A task's number for its batch: how often it was adopted.
pub(crate) type Turn = u32;

/// Ticks of the watch during which a batch could have run and did not, after which it is orphaned. They double each time,
/// up to [`MOST_STALLS`] times: where everything is slow, it is no help to make more tasks.
const ORPHAN_AFTER: u16 = 2;
const MOST_STALLS: u16 = 8;

/// The most empty places that a group keeps while it is not idle.
const SPARE: usize = 1024;

/// The most items for which a batch has room when it opens. More come with more room.
const MOST_ROOM: usize = 1024;

/// `T`: item, `U`: what is unique about it, `B`: the bulk call, `W`: waker, `C`: the batch's shared cell.
pub(crate) struct Group<T, U, B, W, C> {
    open: Option<Place<Queued<T, B, W, C>>>,
    /// Closed batches in the order of their numbers. `None`: it is not there any more, or stands aside. The first and the
    /// last are there.
    line: VecDeque<(Id, Option<Place<Queued<T, B, W, C>>>)>,
    /// Closed batches that can't start.
    aside: BTreeMap<Id, Place<Queued<T, B, W, C>>>,
    /// Places of batches that have gone, for those that come.
    spare: Vec<Place<Queued<T, B, W, C>>>,
    running: HashTable<Running<C>>,
    concurrency: usize,
    /// Items that are queued.
    waiting: usize,
    /// How many items the last batch had.
    expected: usize,
    /// Batches may be orphaned that none of their own callers has adopted in time.
    abandoned: bool,
    uniques: Option<Box<Uniques<U>>>,
}

/// A batch that runs.
struct Running<C> {
    id: Id,
    cell: C,
    values: Vec<Number>,
}

/// Where a batch is while it is queued: it is not moved when others come and go, and neither it nor its successor needs
/// an allocation.
struct Place<Q>(Box<Option<Q>>);

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
    /// As stats, spans and metrics say it.
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

/// An item that comes, with its caller.
pub(crate) struct Coming<T, U, W> {
    pub(crate) item: T,
    /// Of a list of items, only the first in a batch has one.
    pub(crate) waker: Option<W>,
    pub(crate) seen: observe::Caller,
    pub(crate) weight: u64,
    pub(crate) unique: Option<(u64, U)>,
}

/// A batch about to be opened; made outside of the lock.
pub(crate) struct Opening<T, B, W, C> {
    pub(crate) cell: C,
    pub(crate) limits: Limits,
    pub(crate) bulk: B,
    pub(crate) items: Vec<T>,
    pub(crate) callers: Vec<Caller<W>>,
    pub(crate) now: Instant,
}

/// What became of an item.
pub(crate) enum Added<T, U, W, C> {
    /// It has a place; `wake` is the task of a batch that is full now. The caller gives an orphaned batch a task, with
    /// the turn in `adopts`.
    Placed {
        cell: C,
        ticket: Ticket,
        adopts: Option<Turn>,
        wake: Option<W>,
        /// To be dropped.
        unique: Option<U>,
    },
    /// It needs a new batch; `wake` is the task of one that was closed because of it.
    NoRoom {
        coming: Coming<T, U, W>,
        wake: Option<W>,
    },
}

/// A batch was opened.
pub(crate) struct Opened<U, W> {
    pub(crate) ticket: Ticket,
    /// Tasks that may run now, if the limit on concurrency was raised.
    pub(crate) wake: Vec<W>,
    /// To be dropped.
    pub(crate) unique: Option<U>,
}

/// What a task is to do.
pub(crate) enum Go<T, B, W, C> {
    Run(Run<T, B, W, C>),
    /// Ask again as soon as others have been polled: this many items are there, and more are coming.
    Fills(usize),
    /// Wait, to this time or to be woken. The second is a replaced waker, to be dropped.
    Wait(Option<Instant>, Option<W>),
    /// Nothing: its batch is gone, or another task's.
    Gone,
    /// Ask again. It can't run with its permit now: to be dropped.
    GivesUp(Box<dyn Send>),
}

/// A batch that runs.
pub(crate) struct Run<T, B, W, C> {
    pub(crate) items: Vec<T>,
    pub(crate) callers: Vec<Caller<W>>,
    pub(crate) bulk: B,
    pub(crate) closed: Closing,
    /// The next task that may run.
    pub(crate) wake: Option<W>,
    /// Whether it counts for the limit on concurrency, or for the order of unique values.
    pub(crate) limited: bool,
    /// The address of the semaphore of which it has a permit, or 0.
    pub(crate) semaphore: usize,
    pub(crate) moved: Vec<Moved<T, B, W, C>>,
}

/// Items that a batch was topped up with.
pub(crate) struct Moved<T, B, W, C> {
    /// The cell of the batch from which they were taken.
    pub(crate) from: C,
    /// From the first to the last.
    pub(crate) tickets: (Ticket, Ticket),
    /// What is to be added to each.
    pub(crate) offset: Ticket,
    /// Calls inside of other executions wait for it.
    pub(crate) nested: bool,
    /// Nothing is left there: the batch, whose task is to be woken to end, and which is to be dropped.
    pub(crate) emptied: Option<Queued<T, B, W, C>>,
}

/// What a caller that is polled finds in the queue.
pub(crate) enum Queuing<W, C> {
    /// It waits. The second is a replaced waker, to be dropped.
    Waits(Option<W>),
    NeedsWaker,
    /// Its batch was orphaned; it has to give it a task, with this turn.
    Adopts(Turn, Option<W>),
    /// It waits, and has to give a task to this batch, whose own callers are not polled.
    Rescues(C, Turn, Option<W>),
}

/// A batch has lost its task.
pub(crate) struct Orphaned<W> {
    /// The callers, one of which will adopt it, and the task of the one behind it.
    pub(crate) wake: Vec<W>,
    /// Its place in the queue for a permit, to be dropped: nobody may be there to use the permit.
    pub(crate) place: Option<Box<dyn Send>>,
}

/// What a caller leaves behind.
pub(crate) struct Left<T, U, B, W, C> {
    /// To be dropped.
    pub(crate) item: T,
    pub(crate) unique: Option<U>,
    pub(crate) waker: Option<W>,
    pub(crate) seen: observe::Caller,
    /// It was the last caller: the batch, to be dropped.
    pub(crate) emptied: Option<Queued<T, B, W, C>>,
    /// Tasks to wake.
    pub(crate) wake: Vec<W>,
}

/// A bulk call has ended, and this follows from it.
pub(crate) struct Ends<U, W> {
    /// Tasks that may run next.
    pub(crate) next: Option<W>,
    pub(crate) unblocked: Vec<W>,
    /// To be dropped.
    pub(crate) values: Vec<U>,
}

/// What unique values that were given up leave.
struct Unblocked<U, W> {
    tasks: Vec<W>,
    values: Vec<U>,
}

impl<T, U: Eq, B: Start, W, C: Clone> Group<T, U, B, W, C> {
    pub(crate) fn new() -> Self {
        Self {
            open: None,
            line: VecDeque::new(),
            aside: BTreeMap::new(),
            spare: Vec::new(),
            running: HashTable::new(),
            concurrency: usize::MAX,
            waiting: 0,
            expected: 0,
            abandoned: false,
            uniques: None,
        }
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_none()
            && self.line.is_empty()
            && self.aside.is_empty()
            && self.running.is_empty()
    }

    pub(crate) fn queued(&self) -> impl Iterator<Item = &Queued<T, B, W, C>> {
        let line = self.line.iter().filter_map(|(_, batch)| batch.as_deref());
        let aside = self.aside.values().map(|batch| &**batch);
        line.chain(aside).chain(self.open.as_deref())
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// How many items are queued.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether so many items wait that a further call is refused. Items whose callers were dropped don't count.
    #[inline]
    pub(crate) fn is_busy(&self, max_waiting: usize) -> bool {
        self.waiting >= max_waiting
    }

    /// Whether this batch is the one that items come into.
    pub(crate) fn is_open(&self, id: Id) -> bool {
        self.open.as_ref().is_some_and(|open| open.id == id)
    }

    /// For how many items a batch that opens now had better have room.
    pub(crate) fn room(&self) -> usize {
        self.expected.min(MOST_ROOM)
    }

    /// It is about to serve another key.
    pub(crate) fn forget_room(&mut self) {
        self.expected = 0;
    }

    /// An item comes.
    #[inline(always)]
    pub(crate) fn add(
        &mut self,
        coming: Coming<T, U, W>,
        now: impl FnOnce() -> Instant,
    ) -> Added<T, U, W, C> {
        if self.open.is_none() {
            // Those behind it may have gone since somebody left it.
            self.reopen();
        }
        let Some(open) = &mut self.open else {
            return Added::NoRoom { coming, wake: None };
        };
        let why = if open.is_too_heavy(coming.weight) {
            Some(Closing::Weight)
        } else if let (Some((hash, value)), Some(uniques)) = (&coming.unique, &self.uniques) {
            let taken = uniques.has(*hash, value, open.id);
            taken.then_some(Closing::Unique)
        } else {
            None
        };
        if let Some(why) = why {
            let wake = self.close(why);
            return Added::NoRoom { coming, wake };
        }
        let came = open.fresh.unwrap_or_else(now);
        let (ticket, unique) = push(&mut self.uniques, open, coming, came);
        self.waiting += 1;
        let cell = open.cell.clone();
        let adopts = open.orphaned.then_some(open.turn);
        if adopts.is_some() {
            // Only then: a write makes the line this core's.
            open.orphaned = false;
        }
        let wake = if open.is_full() {
            self.close(Closing::Size)
        } else {
            None
        };
        Added::Placed {
            cell,
            ticket,
            adopts,
            wake,
            unique,
        }
    }

    /// Opens the last batch again if it was full, has room, and nobody is behind it.
    fn reopen(&mut self) {
        if self.open.is_some() {
            return;
        }
        let reopens = |batch: &Place<Queued<T, B, W, C>>| batch.refills && !batch.is_full();
        let aside = self.aside.last_key_value().map_or(0, |(&id, _)| id + 1);
        let line = self.line.back().map_or(0, |&(id, _)| id + 1);
        self.open = if line > aside {
            let last = self
                .line
                .back_mut()
                .and_then(|(_, batch)| batch.take_if(|it| reopens(it)));
            if last.is_some() {
                self.trim();
            }
            last
        } else if let Some(last) = self.aside.last_entry() {
            if reopens(last.get()) {
                Some(last.remove())
            } else {
                None
            }
        } else {
            None
        };
        if let Some(open) = &mut self.open {
            open.closed = None;
            open.fresh = None;
        }
    }

    /// Opens a batch with its first item. The caller gives it a task, with turn 0.
    pub(crate) fn open(
        &mut self,
        id: Id,
        opening: Opening<T, B, W, C>,
        coming: Coming<T, U, W>,
    ) -> Opened<U, W> {
        debug_assert!(self.open.is_none(), "one open batch per group");
        let Opening {
            cell,
            limits,
            bulk,
            items,
            callers,
            now,
        } = opening;
        let place = self.spare.pop().unwrap_or_default();
        let mut batch = place.of(Queued::new(New {
            id,
            cell,
            bulk,
            size: limits.size,
            delay_ms: limits.delay_ms,
            eager: limits.eager,
            max_weight: limits.max_weight,
            items,
            callers,
            now,
        }));
        let (ticket, unique) = push(&mut self.uniques, &mut batch, coming, now);
        self.waiting += 1;
        let closed = if batch.is_full() {
            Some(Closing::Size)
        } else {
            batch.is_oversize().then_some(Closing::Weight)
        };
        let concurrency = limits.concurrency.unwrap_or(usize::MAX);
        let was = mem::replace(&mut self.concurrency, concurrency);
        match closed {
            None => self.open = Some(batch),
            Some(why) => drop(self.list(batch, why)),
        }
        let mut wake = Vec::new();
        if was != usize::MAX && concurrency == usize::MAX {
            // Nobody waits for others any more.
            let line = self.line.iter_mut().filter_map(|(_, batch)| batch.as_mut());
            wake.extend(line.filter_map(|batch| batch.task.take()));
        }
        wake.extend(self.next());
        Opened {
            ticket,
            wake,
            unique,
        }
    }

    /// The open batch's task gets on: from now on the clock is read for every item.
    pub(crate) fn no_longer_fresh(&mut self, id: Id) {
        if let Some(open) = self.open.as_mut().filter(|open| open.id == id) {
            open.fresh = None;
        }
    }

    /// Closes the open batch. Returns its task.
    fn close(&mut self, why: Closing) -> Option<W> {
        let batch = self.open.take()?;
        self.list(batch, why)
    }

    fn list(&mut self, mut batch: Place<Queued<T, B, W, C>>, why: Closing) -> Option<W> {
        batch.closed = Some(why);
        batch.refills = why == Closing::Size;
        let task = batch.task.take();
        if batch.orphaned || batch.blocked > 0 {
            self.aside.insert(batch.id, batch);
        } else {
            let id = batch.id;
            self.line.push_back((id, Some(batch)));
            if B::MAY_NEED_PERMIT {
                self.ask(id);
            }
        }
        task
    }

    /// A closed batch is in line: if it is due, it takes its place in the queue for a permit.
    fn ask(&mut self, id: Id) {
        // One whose last item has just gone is about to go, too.
        let batch = self.find(id).filter(|batch| batch.len() > 0);
        let Some(opened) = batch.map(|batch| batch.opened()) else {
            return;
        };
        if self.ready(id, opened).is_some() {
            self.has_permit(id);
        }
    }

    /// Whether a batch that is due has its permit, or needs none.
    fn has_permit(&mut self, id: Id) -> bool {
        let Some(batch) = self.find(id) else {
            return false;
        };
        if !batch.urgent {
            batch.bulk.ask();
        }
        batch.urgent || batch.bulk.permit() != Permit::Waits
    }

    /// A batch that is not due, as its oldest caller has gone, or that has no slot, must not keep a permit from others.
    fn give_up(&mut self, id: Id) -> Option<Box<dyn Send>> {
        let batch = self.find(id)?;
        match batch.bulk.permit() {
            Permit::Has => batch.bulk.give_up(),
            _ => None,
        }
    }

    /// What will tell the task of a batch that this has its permit.
    pub(crate) fn grant(&mut self, id: Id) -> Option<Arc<Grant>> {
        self.find(id)?.bulk.grant()
    }

    /// Closes the open batch, if any, and names all that is queued or runs.
    pub(crate) fn flush(&mut self) -> (Option<W>, Vec<C>) {
        let task = self.close(Closing::Flush);
        let line = self.line.iter_mut().filter_map(|(_, batch)| batch.as_mut());
        for batch in line.chain(self.aside.values_mut()) {
            batch.refills = false;
        }
        let queued = self.queued().map(|batch| batch.cell.clone());
        let running = self.running.iter().map(|running| running.cell.clone());
        (task, queued.chain(running).collect())
    }

    /// Calls inside of other executions have items in this batch. Returns whether it may have to wait for bulk calls of its
    /// group.
    #[cold]
    pub(crate) fn nests(&mut self, id: Id) -> bool {
        let waits = self.is_limited() || self.uniques.is_some();
        match self.find(id) {
            Some(batch) => {
                batch.nested = true;
                let waits = waits || batch.bulk.permit() != Permit::Unneeded;
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

    fn find(&mut self, id: Id) -> Option<&mut Queued<T, B, W, C>> {
        if let Some(at) = self.in_line(id) {
            return self.line[at].1.as_deref_mut();
        }
        if self.open.as_ref().is_some_and(|open| open.id == id) {
            return self.open.as_deref_mut();
        }
        self.aside.get_mut(&id).map(|batch| &mut **batch)
    }

    fn in_line(&self, id: Id) -> Option<usize> {
        let at = self.place_in_line(id)?;
        self.line[at].1.as_ref().map(|_| at)
    }

    fn place_in_line(&self, id: Id) -> Option<usize> {
        // Its turn has come, or it has just been closed, most likely.
        if self.line.front()?.0 == id {
            return Some(0);
        }
        if self.line.back()?.0 == id {
            return Some(self.line.len() - 1);
        }
        self.line.binary_search_by_key(&id, |&(id, _)| id).ok()
    }

    /// Takes a batch out of the queue.
    fn take(&mut self, id: Id) -> Option<Queued<T, B, W, C>> {
        let mut place = match self.in_line(id) {
            Some(at) => self.out_of_line(at),
            None => match self.open.take_if(|open| open.id == id) {
                Some(open) => Some(open),
                None => self.aside.remove(&id),
            },
        }?;
        let batch = place.0.take();
        if self.spare.len() < SPARE {
            self.spare.push(place);
        }
        batch
    }

    fn out_of_line(&mut self, at: usize) -> Option<Place<Queued<T, B, W, C>>> {
        let batch = self.line[at].1.take();
        self.trim();
        batch
    }

    /// Both ends of the line are there.
    fn trim(&mut self) {
        while self.line.front().is_some_and(|(_, batch)| batch.is_none()) {
            self.line.pop_front();
        }
        while self.line.back().is_some_and(|(_, batch)| batch.is_none()) {
            self.line.pop_back();
        }
    }

    /// A closed batch can't start, for now.
    #[cold]
    fn set_aside(&mut self, id: Id) {
        if let Some(batch) = self.in_line(id).and_then(|at| self.out_of_line(at)) {
            self.aside.insert(id, batch);
        }
    }

    /// A batch that stood aside is back in line, unless there is another reason why it can't start.
    #[cold]
    fn bring_back(&mut self, id: Id) {
        let Some(batch) = self.aside.get(&id) else {
            return;
        };
        if batch.orphaned || batch.blocked > 0 {
            return;
        }
        let batch = self.aside.remove(&id);
        match self.place_in_line(id) {
            Some(at) => self.line[at].1 = batch,
            None if self.line.back().is_none_or(|&(last, _)| last < id) => {
                self.line.push_back((id, batch));
            }
            // Whatever stood before it has gone from the line, and so has its own place.
            None => {
                let at = self.line.partition_point(|&(other, _)| other < id);
                self.line.insert(at, (id, batch));
            }
        }
        if B::MAY_NEED_PERMIT {
            self.ask(id);
        }
    }

    fn is_limited(&self) -> bool {
        self.concurrency != usize::MAX
    }

    /// Why a batch could run now, if it could.
    fn ready(&mut self, id: Id, now: Instant) -> Option<Closing> {
        let slots = self.slots();
        slots.ready(self.find(id)?, now)
    }

    fn slots(&self) -> Slots {
        Slots {
            running: self.running(),
            most: self.concurrency,
            front: self.line.front().map(|&(id, _)| id),
        }
    }

    /// A task is polled. One that rather asks again than waits while its batch fills says how many items it has `seen`.
    pub(crate) fn go(
        &mut self,
        id: Id,
        turn: Turn,
        seen: Option<usize>,
        now: impl FnOnce() -> Instant,
        same: impl FnOnce(&W) -> bool,
        waker: &mut Option<W>,
    ) -> Option<Go<T, B, W, C>> {
        let Some(batch) = self.find(id) else {
            return Some(Go::Gone);
        };
        if seen == Some(0) && batch.closed.is_none() {
            return Some(Go::Fills(batch.len()));
        }
        batch.fresh = None;
        if batch.orphaned && batch.turn == turn + 1 {
            // It was given up too early, and nobody has adopted it yet.
            batch.orphaned = false;
            batch.turn = turn;
            self.bring_back(id);
        }
        let batch = self.find(id)?;
        let ours = batch.turn == turn;
        // Reading the clock is left out where it does not matter: for a batch that was full before its task ran.
        let now = if batch.closed.is_some() {
            batch.opened()
        } else {
            now()
        };
        // An item that comes from a runtime whose clock is paused and ahead of this one's counts from now.
        let oldest = batch.oldest();
        oldest.came = oldest.came.min(now);
        if let Some(why) = self.ready(id, now) {
            if !B::MAY_NEED_PERMIT || self.has_permit(id) {
                return Some(Go::Run(self.run(id, why)));
            }
        } else if B::MAY_NEED_PERMIT {
            if let Some(permit) = self.give_up(id) {
                return Some(Go::GivesUp(permit));
            }
        }
        if !ours {
            return Some(Go::Gone);
        }
        let batch = self.find(id)?;
        if batch.closed.is_none() && seen.is_some_and(|seen| seen < batch.len()) {
            batch.fresh = Some(now);
            return Some(Go::Fills(batch.len()));
        }
        let old = match &batch.task {
            Some(old) if same(old) => None,
            _ => batch.task.replace(waker.take()?),
        };
        let (closed, due) = (batch.closed, batch.due());
        // Closed, or due: it waits for its turn, which wakes it.
        let until = due.filter(|&due| closed.is_none() && due > now);
        Some(Go::Wait(until, old))
    }

    fn run(&mut self, id: Id, why: Closing) -> Run<T, B, W, C> {
        let mut batch = self.take(id).expect("a batch that is ready is queued");
        let limited = self.is_limited() || self.uniques.is_some();
        let permit = batch.bulk.permit();
        let queues = self.is_limited() || permit != Permit::Unneeded;
        let moved = if queues && !batch.urgent {
            self.top_up(&mut batch)
        } else {
            Vec::new()
        };
        self.waiting -= batch.len();
        self.expected = batch.len();
        let values = match &self.uniques {
            Some(_) => batch.values().collect(),
            None => Vec::new(),
        };
        let (items, callers, bulk, cell) = batch.into_parts();
        let semaphore = match permit {
            Permit::Has => bulk.semaphore(),
            _ => 0,
        };
        let running = Running { id, cell, values };
        self.running
            .insert_unique(hash(id), running, |running| hash(running.id));
        Run {
            items,
            callers,
            bulk,
            closed: why,
            wake: self.next(),
            limited,
            semaphore,
            moved,
        }
    }

    /// Fills a batch that is about to run with items of those behind it.
    fn top_up(&mut self, batch: &mut Queued<T, B, W, C>) -> Vec<Moved<T, B, W, C>> {
        let (mut moved, id) = (Vec::new(), batch.id);
        while !batch.is_full() {
            // One that was blocked may be before it, and have its permit later.
            let behind = self.line.partition_point(|&(other, _)| other < id);
            let mut behind = self.line.range_mut(behind..);
            let behind = behind.find_map(|(_, next)| next.as_mut());
            let Some(next) = behind.or(self.open.as_mut()) else {
                break;
            };
            let (behind, uniques) = (next.id, &mut self.uniques);
            let took = batch.top_up(next, |extra| match (extra.unique, &mut *uniques) {
                (Some(value), Some(uniques)) => {
                    // Never before a batch that has the same value and is further ahead.
                    let first = uniques.is_first(value, behind);
                    if first {
                        uniques.moves(value, id);
                    }
                    first
                }
                _ => true,
            });
            let Some((first, last, offset)) = took else {
                break;
            };
            // Its oldest item is another now, for which the time counts anew.
            next.fresh = None;
            let (from, nested, rest) = (next.cell.clone(), next.nested, next.len());
            moved.push(Moved {
                from,
                tickets: (first, last),
                offset,
                nested,
                emptied: if rest == 0 { self.take(behind) } else { None },
            });
            if rest > 0 {
                break;
            }
        }
        moved
    }

    /// The task of the batch that may run next, if there is a slot. It registers again if it finds that it may not.
    #[inline]
    fn next(&mut self) -> Option<W> {
        if self.is_limited() || self.open.as_ref().is_some_and(|open| open.eager) {
            self.next_in_line()
        } else {
            // Nobody waits for others.
            None
        }
    }

    fn next_in_line(&mut self) -> Option<W> {
        if self.running() >= self.concurrency {
            return None;
        }
        if let Some((_, Some(first))) = self.line.front_mut() {
            return first.task.take();
        }
        let (limited, idle) = (self.is_limited(), self.running() == 0);
        let open = self.open.as_mut()?;
        // Without a limit only an eager one waits for others.
        let waits = !open.orphaned && (limited || open.eager && idle);
        waits.then(|| open.task.take())?
    }

    /// A bulk call has ended.
    pub(crate) fn ended(&mut self, id: Id) -> Ends<U, W> {
        let running = self
            .running
            .find_entry(hash(id), |running| running.id == id);
        let mut unblocked = Unblocked::default();
        if let Ok(running) = running {
            let Running { values, .. } = running.remove().0;
            for value in values {
                self.release(value, id, &mut unblocked);
            }
        }
        Ends {
            next: self.next(),
            unblocked: unblocked.tasks,
            values: unblocked.values,
        }
    }

    /// A batch has a unique value no more.
    fn release(&mut self, value: Number, batch: Id, unblocked: &mut Unblocked<U, W>) {
        let Some(uniques) = &mut self.uniques else {
            return;
        };
        let next = match uniques.release(value, batch) {
            Released::Free(value) => {
                unblocked.values.push(value);
                if uniques.is_empty() {
                    self.uniques = None;
                }
                return;
            }
            Released::Next(next) => next,
            // Its own item is gone, which was in the way of none but this batch.
            Released::Behind => batch,
        };
        let Some(batch) = self.find(next) else {
            // It runs already: it was urgent.
            return;
        };
        batch.blocked -= 1;
        if batch.blocked == 0 {
            // It looks by itself whether it may run.
            unblocked.tasks.extend(batch.task.take());
            self.bring_back(next);
        }
    }

    /// A caller is polled. `None`: its batch runs, or has run.
    pub(crate) fn queuing(
        &mut self,
        id: Id,
        ticket: Ticket,
        same: impl FnOnce(&W) -> bool,
        waker: &mut Option<W>,
    ) -> Option<Queuing<W, C>> {
        let batch = self.find(id)?;
        let (adopts, turn) = (batch.orphaned, batch.turn);
        let caller = batch.caller(ticket)?;
        let old = match &caller.waker {
            Some(old) if same(old) => None,
            _ => match waker.take() {
                Some(waker) => caller.waker.replace(waker),
                None => return Some(Queuing::NeedsWaker),
            },
        };
        if adopts {
            self.adopt(id);
            return Some(Queuing::Adopts(turn, old));
        }
        Some(match self.rescue() {
            Some((cell, turn)) => Queuing::Rescues(cell, turn, old),
            None => Queuing::Waits(old),
        })
    }

    /// A batch gets a new task, if it needs one. Returns the turn of that.
    pub(crate) fn adopt(&mut self, id: Id) -> Option<Turn> {
        let batch = self.find(id).filter(|batch| batch.orphaned)?;
        batch.orphaned = false;
        batch.ready_for = 0;
        let turn = batch.turn;
        self.bring_back(id);
        Some(turn)
    }

    /// A batch that has waited too long for one of its own callers to adopt it.
    #[inline]
    fn rescue(&mut self) -> Option<(C, Turn)> {
        if self.abandoned {
            self.rescue_first()
        } else {
            None
        }
    }

    #[cold]
    fn rescue_first(&mut self) -> Option<(C, Turn)> {
        let found = self.queued().find(|batch| batch.is_abandoned());
        match found.map(|batch| (batch.id, batch.cell.clone())) {
            Some((id, cell)) => Some((cell, self.adopt(id)?)),
            None => {
                self.abandoned = false;
                None
            }
        }
    }

    /// A caller goes. `None`: its batch runs, or has run.
    pub(crate) fn leave(&mut self, id: Id, ticket: Ticket) -> Option<Left<T, U, B, W, C>> {
        let batch = self.find(id)?;
        let Taken {
            item,
            caller,
            extra,
        } = batch.take(ticket)?;
        let empty = batch.len() == 0;
        self.waiting -= 1;
        let mut unblocked = Unblocked::default();
        if let Some(value) = extra.unique {
            self.release(value, id, &mut unblocked);
        }
        let mut left = Left {
            item,
            unique: unblocked.values.pop(),
            waker: caller.waker,
            seen: caller.seen,
            emptied: None,
            wake: unblocked.tasks,
        };
        if empty {
            left.emptied = self.take(id);
        }
        self.reopen();
        if let Some(emptied) = &mut left.emptied {
            // Its task, to end; and the one behind it, which may be first now.
            left.wake.extend(emptied.task.take());
            left.wake.extend(self.next());
        }
        Some(left)
    }

    /// A task is lost, or stands still.
    pub(crate) fn orphan(&mut self, id: Id, turn: Turn) -> Orphaned<W> {
        let Some(batch) = self.find(id).filter(|batch| batch.turn == turn) else {
            return Orphaned {
                wake: Vec::new(),
                place: None,
            };
        };
        batch.turn += 1;
        batch.orphaned = true;
        batch.ready_for = 0;
        let mut wake: Vec<W> = batch.wakers().collect();
        let place = batch.bulk.give_up();
        self.set_aside(id);
        wake.extend(self.next());
        Orphaned { wake, place }
    }

    /// A task could not do its work: the batch is taken out of the queue, for its callers to be told.
    pub(crate) fn fail(&mut self, id: Id, turn: Turn) -> Option<Run<T, B, W, C>> {
        self.find(id).filter(|batch| batch.turn == turn)?;
        let concurrency = mem::replace(&mut self.concurrency, usize::MAX);
        // Nobody else's item is to fail with it.
        let mut run = self.run(id, Closing::Delay);
        self.concurrency = concurrency;
        run.wake = run.wake.or_else(|| self.next());
        Some(run)
    }

    /// The watch passes by. Adds tasks' wakers and places in queues for permits, to be dropped, wakers to be woken, and
    /// batches that are orphaned now.
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        tasks: &mut Vec<W>,
        places: &mut Vec<Box<dyn Send>>,
        wake: &mut Vec<W>,
        stalled: &mut Vec<C>,
    ) {
        let slots = self.slots();
        let line = self.line.iter_mut().filter_map(|(_, batch)| batch.as_mut());
        let queued = line.chain(self.aside.values_mut()).chain(&mut self.open);
        let mut orphans = Vec::new();
        for batch in queued {
            batch.fresh = None;
            if batch.orphaned {
                batch.ready_for = batch.ready_for.saturating_add(1);
                self.abandoned |= batch.is_abandoned();
                continue;
            }
            let ready = slots.ready(batch, now).is_some()
                && (batch.urgent || batch.bulk.permit() != Permit::Waits);
            batch.ready_for = if ready { batch.ready_for + 1 } else { 0 };
            if batch.ready_for == ORPHAN_AFTER << batch.stalls {
                batch.stalls = (batch.stalls + 1).min(MOST_STALLS);
                tasks.extend(batch.task.take());
                stalled.push(batch.cell.clone());
                orphans.push((batch.id, batch.turn));
            }
        }
        for (id, turn) in orphans {
            let mut orphaned = self.orphan(id, turn);
            wake.append(&mut orphaned.wake);
            places.extend(orphaned.place);
        }
        if self.abandoned {
            // Callers of batches that may have to wait for an abandoned one adopt it. The newest is the most likely to be
            // polled; each tick wakes one more.
            let aside = self.aside.values_mut().chain(&mut self.open);
            let blocked = aside.filter(|batch| batch.blocked > 0 && !batch.orphaned);
            wake.extend(blocked.filter_map(|batch| batch.last_waker()));
        }
    }
}

/// An item gets a place in a batch. Returns its ticket, and what is to be dropped.
#[inline(always)]
fn push<T, U: Eq, B, W, C>(
    uniques: &mut Option<Box<Uniques<U>>>,
    batch: &mut Queued<T, B, W, C>,
    coming: Coming<T, U, W>,
    came: Instant,
) -> (Ticket, Option<U>) {
    let Coming {
        item,
        waker,
        seen,
        weight,
        unique,
    } = coming;
    let mut extra = Extra {
        weight,
        unique: None,
    };
    let mut surplus = None;
    if let Some((hash, value)) = unique {
        let uniques = uniques.get_or_insert_with(|| Box::new(Uniques::new()));
        let (number, blocked, dropped) = uniques.add(hash, value, batch.id);
        batch.blocked += u32::from(blocked);
        (extra.unique, surplus) = (Some(number), dropped);
    }
    let ticket = batch.push(item, waker, came, seen, extra);
    (ticket, surplus)
}

/// What decides, besides a batch itself, whether it may run.
struct Slots {
    running: usize,
    most: usize,
    /// The first in line.
    front: Option<Id>,
}

impl Slots {
    /// Why a batch could run now, if it could.
    #[inline]
    fn ready<T, B, W, C>(&self, batch: &Queued<T, B, W, C>, now: Instant) -> Option<Closing> {
        if batch.urgent {
            return Some(batch.closed.unwrap_or(Closing::Eager));
        }
        if self.running >= self.most || batch.blocked > 0 {
            return None;
        }
        let limited = self.most != usize::MAX;
        match batch.closed {
            // Without a limit nobody waits for a slot, so whichever task comes first runs first.
            Some(closed) => (!limited || self.front == Some(batch.id)).then_some(closed),
            None if limited && self.front.is_some() => None,
            None if batch.eager && self.front.is_none() && self.running == 0 => {
                Some(Closing::Eager)
            }
            None => batch
                .due()
                .is_some_and(|due| due <= now)
                .then_some(Closing::Delay),
        }
    }
}

impl<U, W> Default for Unblocked<U, W> {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<Q> Place<Q> {
    fn of(mut self, batch: Q) -> Self {
        *self.0 = Some(batch);
        self
    }
}

impl<Q> Default for Place<Q> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<Q> Deref for Place<Q> {
    type Target = Q;
    #[inline]
    fn deref(&self) -> &Q {
        (*self.0).as_ref().expect("a place in the queue is taken")
    }
}

impl<Q> DerefMut for Place<Q> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Q {
        (*self.0).as_mut().expect("a place in the queue is taken")
    }
}

/// Spreads numbers that follow one another over all bits.
fn hash(id: Id) -> u64 {
    id.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
