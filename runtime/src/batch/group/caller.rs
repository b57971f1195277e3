//! Callers: their items come, they are polled, and they leave.

use std::mem;

use tokio::time::Instant;

use super::queued::{Caller, Extra, New, Queued, Taken};
use super::task::Unblocked;
use super::uniques::Uniques;
use super::{Closing, Group, Id, Ticket, Turn};
use crate::batch::limits::Limits;
use crate::batch::start::Start;
use crate::observe;
use crate::wake::offer;

/// An item that comes, with its caller.
pub(crate) struct Coming<T, U, W> {
    pub(crate) item: T,
    /// Only the first item of a list in a batch has one.
    pub(crate) waker: Option<W>,
    pub(crate) seen: observe::Caller,
    pub(crate) weight: u64,
    pub(crate) unique: Option<(u64, U)>,
}

/// A batch that is about to be opened, made outside of the lock.
pub(crate) struct Opening<T, B, W, C> {
    pub(crate) shared: C,
    pub(crate) limits: Limits,
    pub(crate) bulk: B,
    pub(crate) items: Vec<T>,
    pub(crate) callers: Vec<Caller<W>>,
    pub(crate) now: Instant,
}

/// What happened to an item.
pub(crate) enum Added<T, U, W, C> {
    Placed(Placed<U, W, C>),
    /// It needs a new batch. `wake` is the task of the batch that was closed because of it.
    NoRoom {
        coming: Coming<T, U, W>,
        wake: Option<W>,
    },
}

/// An item has a place.
pub(crate) struct Placed<U, W, C> {
    pub(crate) shared: C,
    pub(crate) ticket: Ticket,
    /// The caller gives the batch, which was orphaned, a task with this turn.
    pub(crate) adopts: Option<Turn>,
    /// The task of the batch, which is full now.
    pub(crate) wake: Option<W>,
    /// To be dropped.
    pub(crate) unique: Option<U>,
}

/// A batch was opened.
pub(crate) struct Opened<U, W> {
    pub(crate) ticket: Ticket,
    /// Tasks that may run now, if the limit on concurrency was lifted.
    pub(crate) wake: Vec<W>,
    /// To be dropped.
    pub(crate) unique: Option<U>,
}

/// What a caller that is polled learns from the queue.
pub(crate) enum Queuing<C> {
    Waits,
    NeedsWaker,
    /// Its batch was orphaned, and the caller has to give it a task with this turn.
    Adopts(Turn),
    /// It waits, and has to give a task to this batch, whose own callers are not polled.
    Rescues(C, Turn),
}

/// What a caller leaves behind.
pub(crate) struct Left<T, U, B, W, C> {
    /// To be dropped.
    pub(crate) item: T,
    pub(crate) unique: Option<U>,
    pub(crate) waker: Option<W>,
    pub(crate) seen: observe::Caller,
    /// The batch, to be dropped, if this was its last caller.
    pub(crate) emptied: Option<Queued<T, B, W, C>>,
    /// Tasks to wake.
    pub(crate) wake: Vec<W>,
}

impl<T, U: Eq, B: Start, W, C: Clone> Group<T, U, B, W, C> {
    /// An item comes, at the time `now` if that is known.
    #[inline(always)]
    pub(crate) fn add(
        &mut self,
        coming: Coming<T, U, W>,
        now: Option<Instant>,
    ) -> Added<T, U, W, C> {
        if self.open.is_none() {
            // The last batch may have room again, after a caller left it and the batches behind it ended.
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
        let came = match open.fresh.or(now) {
            Some(came) => came,
            None => Instant::now(),
        };
        let (ticket, unique) = push(&mut self.uniques, open, coming, came);
        self.waiting += 1;
        let shared = open.shared.clone();
        let adopts = open.orphaned.then_some(open.turn);
        if adopts.is_some() {
            // Written only if it changes, since a write takes the cache line from other cores.
            open.orphaned = false;
        }
        let wake = if open.is_full() {
            self.close(Closing::Size)
        } else {
            None
        };
        Added::Placed(Placed {
            shared,
            ticket,
            adopts,
            wake,
            unique,
        })
    }

    /// Opens the last batch again, if it was closed because it was full and now has room. A batch with others behind it stays
    /// closed, since its new items would overtake theirs.
    pub(super) fn reopen(&mut self) {
        if self.open.is_some() {
            return;
        }
        let reopens = |batch: &Queued<T, B, W, C>| batch.refills && !batch.is_full();
        let aside = self.aside.last();
        let line = self.line.back().map(|&(id, _)| id);
        self.open = if line > aside {
            let last = self
                .line
                .back_mut()
                .and_then(|(_, batch)| batch.take_if(|it| reopens(it)));
            if last.is_some() {
                self.trim();
            }
            last
        } else {
            match aside.and_then(|last| self.aside.get_mut(last)) {
                Some(last) if reopens(last) => {
                    let last = last.id;
                    self.aside.remove(last)
                }
                _ => None,
            }
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
            shared,
            limits,
            bulk,
            items,
            callers,
            now,
        } = opening;
        let place = self.spare.pop().unwrap_or_default();
        let mut batch = place.of(Queued::new(New {
            id,
            shared,
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
            // Without a limit, closed batches do not wait for one another.
            for (_, batch) in &mut self.line {
                wake.extend(batch.as_mut().and_then(|batch| batch.task.take()));
            }
        }
        wake.extend(self.next());
        Opened {
            ticket,
            wake,
            unique,
        }
    }

    /// A caller is polled, with a waker on [`offer`]. `None`: its batch runs, or has run.
    pub(crate) fn queuing(
        &mut self,
        id: Id,
        ticket: Ticket,
        same: impl FnOnce(&W) -> bool,
        waker: &mut Option<W>,
    ) -> Option<Queuing<C>> {
        let batch = self.find(id)?;
        let (adopts, turn) = (batch.orphaned, batch.turn);
        let caller = batch.caller(ticket)?;
        if !offer(&mut caller.waker, same, waker) {
            return Some(Queuing::NeedsWaker);
        }
        if adopts {
            self.adopt(id);
            return Some(Queuing::Adopts(turn));
        }
        Some(match self.rescue() {
            Some((shared, turn)) => Queuing::Rescues(shared, turn),
            None => Queuing::Waits,
        })
    }

    /// Lets the caller give a batch a new task, if it needs one. Returns the turn of that task.
    pub(crate) fn adopt(&mut self, id: Id) -> Option<Turn> {
        let batch = self.find(id).filter(|batch| batch.orphaned)?;
        batch.orphaned = false;
        batch.ready_for = 0;
        let turn = batch.turn;
        self.bring_back(id);
        Some(turn)
    }

    /// Lets the caller adopt a batch that none of its own callers has adopted in time.
    #[inline]
    fn rescue(&mut self) -> Option<(C, Turn)> {
        if self.unadopted {
            self.rescue_first()
        } else {
            None
        }
    }

    #[cold]
    fn rescue_first(&mut self) -> Option<(C, Turn)> {
        let mut oldest = None;
        self.each_queued(|batch| {
            if batch.is_unadopted() && oldest.is_none_or(|oldest| batch.id < oldest) {
                oldest = Some(batch.id);
            }
        });
        match oldest {
            Some(id) => {
                let shared = self.find(id)?.shared.clone();
                Some((shared, self.adopt(id)?))
            }
            None => {
                self.unadopted = false;
                None
            }
        }
    }

    /// A caller leaves. `None`: its batch runs, or has run.
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
            // Wakes its task, which ends, and the task of the batch behind it, which may be first now.
            left.wake.extend(emptied.task.take());
            left.wake.extend(self.next());
        }
        Some(left)
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
