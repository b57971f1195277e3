//! One group's queue: batches that fill, wait, and run. Pure: an event goes in, what to wake and drop comes out, and the
//! caller acts on it after unlocking. Time is an argument.
//!
//! ```text
//!  add ──► open ──size, weight, unique, flush──► closed ──its task, a free slot──► running ──► ended
//!            └──────delay or eager, its task, a free slot──────────────────────────────▲
//! ```
//!
//! Each queued batch has a task somewhere, known by its *turn*, that is polled to ask whether it may run. When the task
//! is lost (its runtime stopped) or stands still (nobody drives it), the batch is *orphaned*: all its callers are woken,
//! the first that is polled, or that comes, adopts it with a task of its own, and the old task finds another turn. Until
//! then it holds nobody behind it. An old task that is polled after all runs the batch if it may run, so that under load,
//! where every task stands still for a while, each poll gets one on. A batch leaves the queue once: when a task takes it to
//! run it, or when its last caller leaves.

use std::collections::VecDeque;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use hashbrown::HashTable;
use tokio::time::Instant;

use super::Limits;
use crate::frames::Execution;
use crate::observe;

#[cfg(all(test, not(piggyback_loom)))]
mod model;
#[cfg(test)]
mod tests;

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

/// `T`: item, `U`: what is unique about it, `B`: the bulk call, `W`: waker, `C`: the batch's shared cell.
pub(crate) struct Group<T, U, B, W, C> {
    open: Option<Place<Queued<T, U, B, W, C>>>,
    /// In the order in which they were opened, which is that of their numbers.
    closed: VecDeque<(Id, Place<Queued<T, U, B, W, C>>)>,
    /// Places of batches that have gone, for those that come.
    spare: Vec<Place<Queued<T, U, B, W, C>>>,
    /// By their numbers.
    running: HashTable<(Id, C)>,
    concurrency: usize,
}

/// Where a batch is while it is queued: it is not moved when others come and go, and neither it nor its successor needs
/// an allocation.
struct Place<Q>(Box<Option<Q>>);

/// A batch in the queue. In this order, since what every call looks at, but for the callers, is in one cache line then.
#[repr(C, align(64))]
pub(crate) struct Queued<T, U, B, W, C> {
    items: Vec<T>,
    /// If anything is unique, or weighs, or may not weigh too much.
    extras: Option<Box<Extras<U>>>,
    cell: C,
    size: usize,
    next_ticket: Ticket,
    orphaned: bool,
    /// It was closed because it was full, and is opened again when it is not.
    refills: bool,
    /// How it was closed, if it was.
    closed: Option<Closing>,
    /// In step with `items`.
    callers: Vec<Caller<W>>,
    /// Its task was just made, or is polled again as soon as may be: items that come now count as having come then, which
    /// saves a look at the clock for each.
    fresh: Option<Instant>,
    id: Id,
    delay_ms: u64,
    eager: bool,
    bulk: B,
    task: Option<W>,
    turn: Turn,
    /// Ticks during which it could have run.
    ready_for: u16,
    /// How often it was orphaned for that.
    stalls: u16,
    /// The executions that wait for it: its callers were polled inside of them.
    inside: Box<[Execution]>,
}

/// A caller in the queue.
#[derive(Debug)]
pub(crate) struct Caller<W> {
    pub(crate) ticket: Ticket,
    /// `None` after it was woken.
    pub(crate) waker: Option<W>,
    pub(crate) came: Instant,
    pub(crate) seen: observe::Caller,
}

/// What decides, beside their number, which items may be together.
struct Extras<U> {
    /// In step with the items, once anything is unique or weighs.
    items: Vec<Extra>,
    uniques: HashTable<(u64, Ticket, U)>,
    weight: u64,
    max_weight: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Extra {
    weight: u64,
    unique: Option<u64>,
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
    pub(crate) waker: W,
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
    },
    /// It needs a new batch; `wake` is the task of one that was closed because of it.
    NoRoom {
        coming: Coming<T, U, W>,
        wake: Option<W>,
    },
}

/// What a task is to do.
pub(crate) enum Go<T, U, B, W> {
    Run(Run<T, U, B, W>),
    /// Ask again as soon as others have been polled: this many items are there, and more are coming.
    Fills(usize),
    /// Wait, to this time or to be woken. The second is a replaced waker, to be dropped.
    Wait(Option<Instant>, Option<W>),
    /// Nothing: its batch is gone, or another task's.
    Gone,
}

/// A batch that runs.
pub(crate) struct Run<T, U, B, W> {
    pub(crate) items: Vec<T>,
    pub(crate) callers: Vec<Caller<W>>,
    pub(crate) bulk: B,
    pub(crate) closed: Closing,
    /// The next task that may run.
    pub(crate) wake: Option<W>,
    /// The executions that wait for it.
    pub(crate) inside: Box<[Execution]>,
    /// To be dropped.
    pub(crate) uniques: HashTable<(u64, Ticket, U)>,
}

/// What a caller that is polled finds in the queue.
pub(crate) enum Queuing<W> {
    /// It waits. The second is a replaced waker, to be dropped.
    Waits(Option<W>),
    NeedsWaker,
    /// Its batch was orphaned; it has to give it a task, with this turn.
    Adopts(Turn, Option<W>),
}

/// What a caller leaves behind.
pub(crate) struct Left<T, U, B, W, C> {
    /// To be dropped.
    pub(crate) item: T,
    pub(crate) unique: Option<U>,
    pub(crate) waker: Option<W>,
    pub(crate) seen: observe::Caller,
    /// It was the last caller: the batch, to be dropped.
    pub(crate) emptied: Option<Queued<T, U, B, W, C>>,
    /// Tasks to wake.
    pub(crate) wake: [Option<W>; 2],
}

impl<T, U: Eq, B, W, C: Clone> Group<T, U, B, W, C> {
    pub(crate) fn new() -> Self {
        Self {
            open: None,
            closed: VecDeque::new(),
            spare: Vec::new(),
            running: HashTable::new(),
            concurrency: usize::MAX,
        }
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_none() && self.closed.is_empty() && self.running.is_empty()
    }

    pub(crate) fn queued(&self) -> impl Iterator<Item = &Queued<T, U, B, W, C>> {
        let closed = self.closed.iter().map(|(_, batch)| &**batch);
        closed.chain(self.open.as_deref())
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
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
        if let Some(why) = open.refuses(&coming) {
            let wake = self.close(why);
            return Added::NoRoom { coming, wake };
        }
        let came = open.fresh.unwrap_or_else(now);
        let ticket = open.push(coming, came);
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
        }
    }

    /// A caller that has a place in a batch was polled inside of these executions, which wait for it from now on.
    #[cold]
    pub(crate) fn inside(&mut self, id: Id, executions: Vec<Execution>) {
        if let Some(batch) = self.find(id) {
            let inside = mem::take(&mut batch.inside);
            batch.inside = inside.into_iter().chain(executions).collect();
        }
    }

    /// Opens the last batch again if it was full, has room, and nobody is behind it.
    fn reopen(&mut self) {
        let last = self.closed.back();
        if self.open.is_none() && last.is_some_and(|(_, last)| last.refills && !last.is_full()) {
            self.open = self.closed.pop_back().map(|(_, batch)| batch);
            if let Some(open) = &mut self.open {
                open.closed = None;
            }
        }
    }

    /// Opens a batch with its first item. The caller gives it a task, with turn 0. Returns, too, the task of another batch
    /// that may run now, if the limit on concurrency has been raised.
    pub(crate) fn open(
        &mut self,
        id: Id,
        opening: Opening<T, B, W, C>,
        coming: Coming<T, U, W>,
    ) -> (Ticket, Option<W>) {
        debug_assert!(self.open.is_none(), "one open batch a group");
        let Opening {
            cell,
            limits,
            bulk,
            items,
            callers,
            now,
        } = opening;
        self.concurrency = limits.concurrency.unwrap_or(usize::MAX);
        let place = self.spare.pop().unwrap_or_default();
        let mut batch = place.of(Queued {
            id,
            cell,
            size: limits.size,
            delay_ms: limits.delay_ms,
            eager: limits.eager,
            bulk,
            items,
            callers,
            extras: limits.max_weight.map(|most| Extras::new(Some(most))),
            next_ticket: 0,
            closed: None,
            refills: false,
            fresh: Some(now),
            task: None,
            turn: 0,
            orphaned: false,
            ready_for: 0,
            stalls: 0,
            inside: Box::default(),
        });
        let ticket = batch.push(coming, now);
        let closed = if batch.is_full() {
            Some(Closing::Size)
        } else {
            batch.is_oversize().then_some(Closing::Weight)
        };
        match closed {
            None => self.open = Some(batch),
            Some(why) => drop(self.list(batch, why)),
        }
        (ticket, self.next())
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

    fn list(&mut self, mut batch: Place<Queued<T, U, B, W, C>>, why: Closing) -> Option<W> {
        batch.closed = Some(why);
        batch.refills = why == Closing::Size;
        let task = batch.task.take();
        self.closed.push_back((batch.id, batch));
        task
    }

    /// Closes the open batch, if any, and names all that is queued or runs.
    pub(crate) fn flush(&mut self) -> (Option<W>, Vec<C>) {
        let task = self.close(Closing::Flush);
        for (_, batch) in &mut self.closed {
            batch.refills = false;
        }
        let queued = self.closed.iter().map(|(_, batch)| batch.cell.clone());
        let running = self.running.iter().map(|(_, cell)| cell.clone());
        (task, queued.chain(running).collect())
    }

    fn find(&mut self, id: Id) -> Option<&mut Queued<T, U, B, W, C>> {
        match self.find_closed(id) {
            Some(at) => Some(&mut self.closed[at].1),
            None => self.open.as_deref_mut().filter(|open| open.id == id),
        }
    }

    fn find_closed(&self, id: Id) -> Option<usize> {
        // Its turn has come, most likely.
        if self.closed.front()?.0 == id {
            return Some(0);
        }
        self.closed.binary_search_by_key(&id, |&(id, _)| id).ok()
    }

    /// Takes a batch out of the queue.
    fn take(&mut self, id: Id) -> Option<Queued<T, U, B, W, C>> {
        let mut place = match self.find_closed(id) {
            Some(at) => self.closed.remove(at).map(|(_, batch)| batch),
            None => self.open.take_if(|open| open.id == id),
        }?;
        let batch = place.0.take();
        if self.spare.len() < SPARE {
            self.spare.push(place);
        }
        batch
    }

    /// The closed batch whose turn it is.
    fn first(&self) -> Option<usize> {
        self.closed.iter().position(|(_, batch)| !batch.orphaned)
    }

    fn is_limited(&self) -> bool {
        self.concurrency != usize::MAX
    }

    /// Why a batch could run now, if it could.
    fn ready(&self, id: Id, now: Instant) -> Option<Closing> {
        if self.running() >= self.concurrency {
            return None;
        }
        match &self.open {
            Some(open) if open.id == id => {
                let first = self.first().is_none();
                if self.is_limited() && !first {
                    None
                } else if open.eager && first && self.running() == 0 {
                    Some(Closing::Eager)
                } else {
                    (open.due() <= Some(now)).then_some(Closing::Delay)
                }
            }
            _ => {
                // Without a limit nobody waits for a slot, so whichever task comes first runs first.
                let at = self.find_closed(id)?;
                let may = !self.is_limited() || self.first() == Some(at);
                self.closed[at].1.closed.filter(|_| may)
            }
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
    ) -> Option<Go<T, U, B, W>> {
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
        }
        let ours = batch.turn == turn;
        // Reading the clock is left out where it does not matter: for a batch that was full before its task ran.
        let now = if batch.closed.is_some() {
            batch.opened()
        } else {
            now()
        };
        // An item that comes from a runtime whose clock is paused and ahead of this one's counts from now.
        let first = &mut batch.callers[0];
        first.came = first.came.min(now);
        if let Some(why) = self.ready(id, now) {
            return Some(Go::Run(self.run(id, why)));
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
        // Closed, or due: it waits for a slot, which wakes it.
        let until = due.filter(|&due| closed.is_none() && due > now);
        Some(Go::Wait(until, old))
    }

    fn run(&mut self, id: Id, why: Closing) -> Run<T, U, B, W> {
        let batch = self.take(id).expect("a batch that is ready is queued");
        let Queued {
            cell,
            items,
            callers,
            bulk,
            inside,
            extras,
            ..
        } = batch;
        self.running
            .insert_unique(hash(id), (id, cell), |&(id, _)| hash(id));
        Run {
            items,
            callers,
            bulk,
            closed: why,
            wake: self.next(),
            inside,
            uniques: extras.map_or_else(HashTable::new, |extras| extras.uniques),
        }
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
        match self.first() {
            Some(at) => self.closed[at].1.task.take(),
            None => {
                let (limited, idle) = (self.is_limited(), self.running() == 0);
                let open = self.open.as_mut()?;
                // Without a limit only an eager one waits for others.
                let waits = !open.orphaned && (limited || open.eager && idle);
                waits.then(|| open.task.take())?
            }
        }
    }

    /// A bulk call has ended. Returns the task that may run next.
    pub(crate) fn ended(&mut self, id: Id) -> Option<W> {
        let running = self.running.find_entry(hash(id), |&(other, _)| other == id);
        if let Ok(running) = running {
            running.remove();
        }
        self.next()
    }

    /// A caller is polled. `None`: its batch runs, or has run.
    pub(crate) fn queuing(
        &mut self,
        id: Id,
        ticket: Ticket,
        same: impl FnOnce(&W) -> bool,
        waker: &mut Option<W>,
    ) -> Option<Queuing<W>> {
        let batch = self.find(id)?;
        let adopts = mem::take(&mut batch.orphaned);
        let turn = batch.turn;
        let at = position(&batch.callers, ticket)?;
        let caller = &mut batch.callers[at];
        let old = match &caller.waker {
            Some(old) if same(old) => None,
            _ => match waker.take() {
                Some(waker) => caller.waker.replace(waker),
                None => {
                    batch.orphaned = adopts;
                    return Some(Queuing::NeedsWaker);
                }
            },
        };
        Some(if adopts {
            Queuing::Adopts(turn, old)
        } else {
            Queuing::Waits(old)
        })
    }

    /// A caller goes. `None`: its batch runs, or has run.
    pub(crate) fn leave(&mut self, id: Id, ticket: Ticket) -> Option<Left<T, U, B, W, C>> {
        let batch = self.find(id)?;
        let at = position(&batch.callers, ticket)?;
        let item = batch.items.remove(at);
        let caller = batch.callers.remove(at);
        let extras = batch.extras.as_mut();
        let unique = extras.and_then(|extras| extras.remove(at, ticket));
        let mut left = Left {
            item,
            unique,
            waker: caller.waker,
            seen: caller.seen,
            emptied: None,
            wake: [None, None],
        };
        if batch.items.is_empty() {
            left.emptied = self.take(id);
        }
        self.reopen();
        if let Some(emptied) = &mut left.emptied {
            // Its task, to end; and the one behind it, which may be first now.
            left.wake[0] = emptied.task.take();
            left.wake[1] = self.next();
        }
        Some(left)
    }

    /// A task is lost, or stands still. Returns whom to wake: the callers, one of which will adopt the batch, and the task
    /// of the one behind it.
    pub(crate) fn orphan(&mut self, id: Id, turn: Turn) -> Vec<W> {
        let Some(batch) = self.find(id).filter(|batch| batch.turn == turn) else {
            return Vec::new();
        };
        batch.turn += 1;
        batch.orphaned = true;
        batch.ready_for = 0;
        let mut wake: Vec<W> = batch
            .callers
            .iter_mut()
            .filter_map(|caller| caller.waker.take())
            .collect();
        wake.extend(self.next());
        wake
    }

    /// A task could not do its work: the batch is taken out of the queue, for its callers to be told.
    pub(crate) fn fail(&mut self, id: Id, turn: Turn) -> Option<Run<T, U, B, W>> {
        self.find(id).filter(|batch| batch.turn == turn)?;
        Some(self.run(id, Closing::Delay))
    }

    /// The watch passes by. Adds tasks' wakers, to be dropped, those to be woken, and batches that are orphaned now.
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        tasks: &mut Vec<W>,
        wake: &mut Vec<W>,
        stalled: &mut Vec<C>,
    ) {
        let ids: Vec<Id> = self.queued().map(|batch| batch.id).collect();
        for id in ids {
            let ready = self.ready(id, now).is_some();
            let Some(batch) = self.find(id) else { continue };
            batch.fresh = None;
            batch.ready_for = if ready && !batch.orphaned {
                batch.ready_for + 1
            } else {
                0
            };
            if batch.ready_for == ORPHAN_AFTER << batch.stalls {
                batch.stalls = (batch.stalls + 1).min(MOST_STALLS);
                let turn = batch.turn;
                tasks.extend(batch.task.take());
                stalled.push(batch.cell.clone());
                wake.append(&mut self.orphan(id, turn));
            }
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

impl<T, U: Eq, B, W, C> Queued<T, U, B, W, C> {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Why another item can't come in, if it can't.
    #[inline(always)]
    fn refuses(&self, coming: &Coming<T, U, W>) -> Option<Closing> {
        self.extras
            .as_ref()?
            .refuse(coming.weight, coming.unique.as_ref())
    }

    #[inline(always)]
    fn push(&mut self, coming: Coming<T, U, W>, came: Instant) -> Ticket {
        let Coming {
            item,
            waker,
            seen,
            weight,
            unique,
        } = coming;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let at = self.items.len();
        self.items.push(item);
        self.callers.push(Caller {
            ticket,
            waker: Some(waker),
            came,
            seen,
        });
        if weight != 0 || unique.is_some() || self.extras.is_some() {
            let extras = self.extras.get_or_insert_with(|| Extras::new(None));
            extras.push(at, ticket, weight, unique);
        }
        ticket
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.size
    }

    fn is_oversize(&self) -> bool {
        self.extras
            .as_ref()
            .is_some_and(|extras| extras.max_weight.is_some_and(|most| extras.weight > most))
    }

    /// When the oldest item that still has a caller came.
    fn opened(&self) -> Instant {
        self.callers[0].came
    }

    /// When the delay is over. `None`: not in this world's time.
    fn due(&self) -> Option<Instant> {
        self.opened()
            .checked_add(Duration::from_millis(self.delay_ms))
    }
}

impl<U: Eq> Extras<U> {
    fn new(max_weight: Option<u64>) -> Box<Self> {
        Box::new(Self {
            items: Vec::new(),
            uniques: HashTable::new(),
            weight: 0,
            max_weight,
        })
    }

    /// Why an item can't come in, if it can't.
    fn refuse(&self, weight: u64, unique: Option<&(u64, U)>) -> Option<Closing> {
        if let Some(most) = self.max_weight {
            if self.weight.saturating_add(weight) > most {
                return Some(Closing::Weight);
            }
        }
        let (hash, unique) = unique?;
        let taken = self
            .uniques
            .find(*hash, |(other, _, taken)| other == hash && taken == unique);
        taken.map(|_| Closing::Unique)
    }

    /// An item comes in, to this place.
    fn push(&mut self, at: usize, ticket: Ticket, weight: u64, unique: Option<(u64, U)>) {
        if weight == 0 && unique.is_none() && self.items.is_empty() {
            return;
        }
        // Items before the first that weighs anything weigh nothing.
        self.items.resize(
            at,
            Extra {
                weight: 0,
                unique: None,
            },
        );
        self.items.push(Extra {
            weight,
            unique: unique.as_ref().map(|&(hash, _)| hash),
        });
        self.weight = self.weight.saturating_add(weight);
        if let Some((hash, unique)) = unique {
            self.uniques
                .insert_unique(hash, (hash, ticket, unique), |&(hash, ..)| hash);
        }
    }

    /// An item goes.
    fn remove(&mut self, at: usize, ticket: Ticket) -> Option<U> {
        if self.items.is_empty() {
            return None;
        }
        let Extra { weight, unique } = self.items.remove(at);
        self.weight = if self.weight == u64::MAX {
            self.items
                .iter()
                .fold(0, |sum: u64, extra| sum.saturating_add(extra.weight))
        } else {
            self.weight - weight
        };
        let found = self
            .uniques
            .find_entry(unique?, |&(_, taken_by, _)| taken_by == ticket)
            .ok()?;
        Some(found.remove().0.2)
    }
}

/// Spreads numbers that follow one another over all bits.
fn hash(id: Id) -> u64 {
    id.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Where a ticket's caller is: where it was put, unless some before it have left.
pub(crate) fn position<W>(callers: &[Caller<W>], ticket: Ticket) -> Option<usize> {
    match callers.get(ticket as usize) {
        Some(caller) if caller.ticket == ticket => Some(ticket as usize),
        _ => callers
            .binary_search_by_key(&ticket, |caller| caller.ticket)
            .ok(),
    }
}
