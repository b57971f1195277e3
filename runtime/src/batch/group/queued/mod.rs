//! A queued batch: its items in the order in which they came, with their callers.
//!
//! Items and callers are in step in two lists. A caller that leaves from the middle leaves a gap in both, so that the others stay
//! where their tickets find them. When half of the entries are gaps, the lists are packed. So leaving costs a search by ticket and,
//! spread over the callers that leave, a move of one entry. A batch without gaps has its items in a plain list, which it hands to
//! the bulk call as it is.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;

pub(super) use self::extras::Extra;
use self::extras::Extras;
use super::{Closing, Id, Ticket, Turn};
use crate::observe;

mod extras;

/// The last ticket that a batch gives. It is full then, whatever its size.
const LAST_TICKET: Ticket = Ticket::MAX;

/// Ticks of the watch during which a batch could have run and did not, after which it is orphaned. Their
/// number is doubled each time that this happens to the batch, since more tasks are no help if everything is slow.
pub(super) const ORPHAN_AFTER: u16 = 2;

/// The number of gaps up to which packing is not worth the work.
const FEW: usize = 32;

/// A batch in the queue. In this order, so that the fields that every call reads, but for the callers, are in one cache line.
#[repr(C, align(64))]
pub(crate) struct Queued<T, B, W, C> {
    /// Empty once there are gaps: see `sparse`.
    items: Vec<T>,
    /// `Some` if any item has a unique value or a weight, or the weight is limited.
    extras: Option<Box<Extras>>,
    pub(super) shared: C,
    pub(super) size: usize,
    next_ticket: Ticket,
    pub(super) orphaned: bool,
    /// It was closed because it was full, and is opened again when it is not.
    pub(super) refills: bool,
    /// How it was closed, if it was.
    pub(super) closed: Option<Closing>,
    /// In step with the items, by their tickets.
    callers: Vec<Caller<W>>,
    /// When its task was made, or last polled and about to be polled again. Items that come in between count as having come at this
    /// time, which saves reading the clock for each.
    pub(super) fresh: Option<Instant>,
    pub(super) id: Id,
    pub(super) delay_ms: Option<u64>,
    pub(super) eager: bool,
    /// A bulk call waits for it, so it must not wait for any bulk call: it runs as soon as its task is polled.
    pub(super) urgent: bool,
    /// Some of its callers were polled inside of other executions.
    pub(super) nested: bool,
    pub(super) bulk: B,
    pub(super) task: Option<W>,
    pub(super) turn: Turn,
    /// Ticks during which it could have run, or during which it was orphaned.
    pub(super) ready_for: u16,
    /// How often it was orphaned because its task stood still.
    pub(super) stalls: u16,
    /// The number of its items that share a value with an earlier batch, queued or running.
    pub(super) blocked: u32,
    /// The number of gaps, and the first entry that is not a gap.
    gaps: usize,
    first: usize,
    /// The items, once there are gaps.
    sparse: Vec<Option<T>>,
}

/// A caller in the queue.
#[derive(Debug)]
pub(crate) struct Caller<W> {
    pub(crate) ticket: Ticket,
    gone: bool,
    /// `None` after it was woken.
    pub(crate) waker: Option<W>,
    pub(crate) came: Instant,
    pub(crate) seen: observe::Caller,
}

/// An item that was taken out, with its caller.
pub(super) struct Taken<T, W> {
    pub(super) item: T,
    pub(super) caller: Caller<W>,
    pub(super) extra: Extra,
}

/// The parts of a batch that is opened.
pub(super) struct New<T, B, W, C> {
    pub(super) id: Id,
    pub(super) shared: C,
    pub(super) bulk: B,
    pub(super) size: usize,
    pub(super) delay_ms: Option<u64>,
    pub(super) eager: bool,
    pub(super) max_weight: Option<u64>,
    pub(super) items: Vec<T>,
    pub(super) callers: Vec<Caller<W>>,
    pub(super) now: Instant,
}

impl<W> Caller<W> {
    pub(crate) fn new(
        ticket: Ticket,
        waker: Option<W>,
        came: Instant,
        seen: observe::Caller,
    ) -> Self {
        Self {
            ticket,
            gone: false,
            waker,
            came,
            seen,
        }
    }
}

impl<T, B, W, C> Queued<T, B, W, C> {
    pub(super) fn new(new: New<T, B, W, C>) -> Self {
        let New {
            id,
            shared,
            bulk,
            size,
            delay_ms,
            eager,
            max_weight,
            items,
            callers,
            now,
        } = new;
        Self {
            items,
            extras: max_weight.map(|_| {
                Box::new(Extras {
                    max_weight,
                    ..Extras::default()
                })
            }),
            shared,
            size,
            next_ticket: 0,
            orphaned: false,
            refills: false,
            closed: None,
            callers,
            fresh: Some(now),
            id,
            delay_ms,
            eager,
            urgent: false,
            nested: false,
            bulk,
            task: None,
            turn: 0,
            ready_for: 0,
            stalls: 0,
            blocked: 0,
            gaps: 0,
            first: 0,
            sparse: Vec::new(),
        }
    }

    /// Takes the waker of its task.
    pub(crate) fn task(&mut self) -> Option<W> {
        self.task.take()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.callers.len() - self.gaps
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.size || self.next_ticket == LAST_TICKET
    }

    #[inline(always)]
    pub(super) fn push(
        &mut self,
        item: T,
        waker: Option<W>,
        came: Instant,
        seen: observe::Caller,
        extra: Extra,
    ) -> Ticket {
        let ticket = self.next_ticket;
        self.put(item, Caller::new(ticket, waker, came, seen), extra);
        ticket
    }

    #[inline(always)]
    fn put(&mut self, item: T, caller: Caller<W>, extra: Extra) {
        self.next_ticket = caller.ticket + 1;
        let at = self.callers.len();
        if self.gaps == 0 {
            self.items.push(item);
        } else {
            self.sparse.push(Some(item));
        }
        self.callers.push(caller);
        if extra.weight != 0 || extra.unique.is_some() || self.extras.is_some() {
            let extras = self.extras.get_or_insert_default();
            extras.items.resize(at, Extra::default());
            extras.items.push(extra);
            extras.weight = extras.weight.saturating_add(extra.weight);
        }
    }

    /// The oldest item's caller.
    #[inline]
    pub(super) fn oldest(&mut self) -> &mut Caller<W> {
        &mut self.callers[self.first]
    }

    /// When the oldest item that still has a caller came.
    pub(super) fn opened(&self) -> Instant {
        self.callers[self.first].came
    }

    /// Whether it may wait for the end of its group's bulk calls, however long they take: without a delay, an eager batch
    /// that does not fill has nothing else to run at.
    pub(super) fn waits_for_others(&self) -> bool {
        self.eager && self.delay_ms.is_none()
    }

    /// When the delay is over. `None`: never.
    pub(super) fn due(&self) -> Option<Instant> {
        self.opened()
            .checked_add(Duration::from_millis(self.delay_ms?))
    }

    pub(super) fn caller(&mut self, ticket: Ticket) -> Option<&mut Caller<W>> {
        let at = position(&self.callers, ticket)?;
        Some(&mut self.callers[at]).filter(|caller| !caller.gone)
    }

    /// Takes the wakers of all callers.
    pub(super) fn wakers(&mut self) -> Vec<W> {
        let mut wakers = Vec::new();
        for caller in &mut self.callers {
            wakers.extend(caller.waker.take());
        }
        wakers
    }

    /// Takes the waker of the newest caller that has one.
    pub(super) fn last_waker(&mut self) -> Option<W> {
        for caller in self.callers.iter_mut().rev() {
            if caller.waker.is_some() {
                return caller.waker.take();
            }
        }
        None
    }

    /// Whether it was orphaned, and none of its callers was polled for some time.
    pub(super) fn is_unadopted(&self) -> bool {
        self.orphaned && self.ready_for >= ORPHAN_AFTER
    }

    /// Takes an item out.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Taken<T, W>> {
        let at = position(&self.callers, ticket).filter(|&at| !self.callers[at].gone)?;
        let extra = self.forget(at);
        if at + 1 == self.callers.len() {
            let caller = self.callers.pop()?;
            let item = if self.gaps == 0 {
                self.items.pop()
            } else {
                self.sparse.pop().flatten()
            };
            self.pack();
            return item.map(|item| Taken {
                item,
                caller,
                extra,
            });
        }
        if self.gaps == 0 {
            self.sparse.reserve(self.items.len());
            for item in mem::take(&mut self.items) {
                self.sparse.push(Some(item));
            }
        }
        let item = self.sparse[at].take()?;
        self.gaps += 1;
        let caller = &mut self.callers[at];
        caller.gone = true;
        let caller = Caller {
            ticket,
            gone: false,
            waker: caller.waker.take(),
            came: caller.came,
            seen: caller.seen.take(),
        };
        while self.callers.get(self.first).is_some_and(|first| first.gone) {
            self.first += 1;
        }
        self.pack();
        Some(Taken {
            item,
            caller,
            extra,
        })
    }

    /// Closes the gaps if they are more than half of the entries, or all.
    fn pack(&mut self) {
        if self.gaps == self.callers.len() || self.gaps > FEW && self.gaps > self.callers.len() / 2
        {
            self.close_gaps();
        }
    }

    fn close_gaps(&mut self) {
        if self.gaps == 0 {
            return;
        }
        let mut items = Vec::with_capacity(self.len());
        #[expect(clippy::manual_flatten, reason = "it is less to compile")]
        for item in mem::take(&mut self.sparse) {
            if let Some(item) = item {
                items.push(item);
            }
        }
        self.items = items;
        let mut callers = Vec::with_capacity(self.len());
        let mut kept = Vec::with_capacity(self.callers.len());
        for caller in mem::take(&mut self.callers) {
            kept.push(!caller.gone);
            if !caller.gone {
                callers.push(caller);
            }
        }
        self.callers = callers;
        if let Some(extras) = &mut self.extras {
            extras.keep(&kept);
        }
        (self.gaps, self.first) = (0, 0);
    }

    /// What the bulk call gets: the items, and their callers in step.
    pub(super) fn into_parts(mut self) -> (Vec<T>, Vec<Caller<W>>, B, C) {
        self.close_gaps();
        (self.items, self.callers, self.bulk, self.shared)
    }
}

/// The index of a ticket's caller: the ticket itself, unless callers before it have left.
pub(crate) fn position<W>(callers: &[Caller<W>], ticket: Ticket) -> Option<usize> {
    match callers.get(ticket as usize) {
        Some(caller) if caller.ticket == ticket => Some(ticket as usize),
        _ => callers
            .binary_search_by_key(&ticket, |caller| caller.ticket)
            .ok(),
    }
}
