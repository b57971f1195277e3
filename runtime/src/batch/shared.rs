//! The part of a batch that its callers share. It holds their results once the bulk call has ended.
//!
//! While a batch is queued, its callers are in the group's queue. They move in here when the batch starts to run. The lock is
//! held for a few instructions, in which wakers and results are moved.

use std::mem;
use std::task::Waker;

use super::group::{Caller, Id, Ticket, position};
use super::start;
use crate::observe::Warned;
use crate::reentrancy::Execution;
use crate::sync::{Arc, Mutex};
use crate::wake::{discard, offer};

/// What a batch's callers share.
#[derive(Debug)]
pub struct Batch<R> {
    /// The address of its table.
    pub(super) table: usize,
    pub(super) hash: u64,
    pub(super) group: u64,
    pub(super) id: Id,
    /// The address of the semaphore that its batch needs a permit of, or 0.
    pub(super) semaphore: usize,
    pub(super) warned: Warned,
    state: Mutex<State<R>>,
}

#[derive(Debug)]
struct State<R> {
    progress: Progress<R>,
    /// The wakers of flushes that wait for the end of the batch.
    observers: Vec<Waker>,
    /// Callers whose items are in other batches now.
    moved: Vec<Forwarded<R>>,
}

/// Callers whose items are in another batch: their tickets there are their tickets here and an offset.
#[derive(Debug)]
struct Forwarded<R> {
    tickets: (Ticket, Ticket),
    offset: Ticket,
    to: Arc<Batch<R>>,
}

#[derive(Debug)]
enum Progress<R> {
    /// With the callers of a running batch.
    UnderWay(Vec<Caller<Waker>>),
    Ended(Ended<R>),
}

/// How a batch ended.
#[derive(Debug)]
pub(crate) enum Ended<R> {
    /// One result per caller, in the order of tickets. If callers left before the batch ran, the second is a list of the
    /// remaining tickets, and a caller's result is where its ticket is.
    Results(Vec<Option<R>>, Option<Box<[Ticket]>>),
    /// The result of the only caller, which saves a list.
    Single(Option<R>),
    Failed(Cause),
    /// All callers left before it began.
    Empty,
}

impl<R> Ended<R> {
    /// The end of a bulk call with one result per item.
    pub(super) fn with(results: Vec<R>) -> Self {
        let mut results = results.into_iter();
        if results.len() == 1 {
            Self::Single(results.next())
        } else {
            Self::Results(results.map(Some).collect(), None)
        }
    }
}

/// Why a batch has no results.
#[derive(Debug, Clone)]
pub enum Cause {
    Panic(Box<str>),
    WrongNumber { items: usize, results: usize },
    RuntimeGone,
    NoTimers,
}

/// What a caller that is polled finds.
pub(super) enum Found<R> {
    Result(R),
    Failed(Cause),
    /// Its batch is queued: ask the group.
    Queued,
    Runs,
    NeedsWaker,
    /// Its item is in another batch, under this ticket.
    Moved(Arc<Batch<R>>, Ticket),
}

/// What remains of a caller that leaves a batch that is not queued.
#[derive(Debug)]
pub(super) enum Leaves<R> {
    /// A waker, to be dropped.
    Waker(Option<Waker>),
    Moved(Arc<Batch<R>>, Ticket),
}

impl<R> State<R> {
    #[cold]
    fn moved(&self, ticket: Ticket) -> Option<(Arc<Batch<R>>, Ticket)> {
        let moved = self.moved.iter().find(|moved| {
            let (first, last) = moved.tickets;
            (first..=last).contains(&ticket)
        })?;
        Some((moved.to.clone(), ticket.wrapping_add(moved.offset)))
    }
}

impl<R> Batch<R> {
    /// The numbers of the group and the batch are set when the batch opens.
    pub(super) fn new(table: usize, hash: u64) -> Self {
        let state = State {
            progress: Progress::UnderWay(Vec::new()),
            observers: Vec::new(),
            moved: Vec::new(),
        };
        Self {
            table,
            hash,
            group: 0,
            id: 0,
            semaphore: 0,
            warned: Warned::default(),
            state: Mutex::new(state),
        }
    }

    /// The batch runs from now on.
    pub(super) fn run(&self, callers: Vec<Caller<Waker>>) {
        self.state.lock().progress = Progress::UnderWay(callers);
    }

    /// The batch as an execution.
    pub(super) fn execution(&self) -> Execution {
        Execution {
            table: self.table,
            id: self.id,
        }
    }

    /// What the bulk calls of its group hold, if their number is limited.
    pub(super) fn limiter(&self) -> Execution {
        Execution::limiter(self.table, self.group)
    }

    /// All that its batch may wait for.
    pub(super) fn limiters(&self) -> [Execution; 2] {
        let limiter = self.limiter();
        match self.semaphore {
            0 => [limiter; 2],
            semaphore => [limiter, start::limiter(semaphore)],
        }
    }

    /// Where a caller's item is, if it has moved.
    pub(super) fn moved(&self, ticket: Ticket) -> Option<(Arc<Self>, Ticket)> {
        self.state.lock().moved(ticket)
    }

    /// Records that callers of this queued batch have moved to another batch.
    pub(super) fn moves(&self, tickets: (Ticket, Ticket), offset: Ticket, to: Arc<Self>) {
        self.state.lock().moved.push(Forwarded {
            tickets,
            offset,
            to,
        });
    }

    /// A caller that is not queued in this batch goes.
    pub(super) fn leave(&self, ticket: Ticket) -> Leaves<R> {
        let mut state = self.state.lock();
        if let Some((to, ticket)) = state.moved(ticket) {
            return Leaves::Moved(to, ticket);
        }
        match &mut state.progress {
            Progress::UnderWay(callers) => {
                Leaves::Waker(position(callers, ticket).and_then(|at| callers[at].waker.take()))
            }
            Progress::Ended(_) => Leaves::Waker(None),
        }
    }

    /// The batch has ended. Returns all callers and flushes, to be woken.
    pub(super) fn end(&self, mut ended: Ended<R>) -> (Vec<Caller<Waker>>, Vec<Waker>) {
        let mut state = self.state.lock();
        let Progress::UnderWay(callers) = &mut state.progress else {
            unreachable!("a batch ends once")
        };
        let callers = mem::take(callers);
        if let (Ended::Single(result), false) = (&mut ended, state.moved.is_empty()) {
            // A caller whose item has moved asks here first, and must not take the result of the caller that is left.
            ended = Ended::Results(vec![result.take()], None);
        }
        if let (Ended::Results(_, tickets), Some(last)) = (&mut ended, callers.last()) {
            if last.ticket as usize + 1 != callers.len() {
                *tickets = Some(callers.iter().map(|caller| caller.ticket).collect());
            }
        }
        state.progress = Progress::Ended(ended);
        (callers, mem::take(&mut state.observers))
    }

    /// Takes the wakers of flushes that wait for the end, since a flush may have to give the batch a task.
    pub(super) fn observers(&self) -> Vec<Waker> {
        mem::take(&mut self.state.lock().observers)
    }

    /// A caller is polled. Returns its result, if there is one at the place of its ticket. A short cut for [`poll`](Self::poll).
    #[inline]
    pub(super) fn take(&self, ticket: Ticket) -> Option<R> {
        match &mut self.state.lock().progress {
            Progress::Ended(Ended::Results(results, None)) => {
                results.get_mut(ticket as usize)?.take()
            }
            Progress::Ended(Ended::Single(result)) => result.take(),
            _ => None,
        }
    }

    /// A caller is polled, with a waker on [`offer`].
    pub(super) fn poll(
        &self,
        ticket: Ticket,
        same: impl FnOnce(&Waker) -> bool,
        waker: &mut Option<Waker>,
    ) -> Found<R> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if !state.moved.is_empty() {
            if let Some((to, ticket)) = state.moved(ticket) {
                return Found::Moved(to, ticket);
            }
        }
        match &mut state.progress {
            Progress::Ended(Ended::Results(results, tickets)) => {
                let at = match tickets {
                    None => ticket as usize,
                    Some(tickets) => tickets
                        .binary_search(&ticket)
                        .expect("a caller of this batch"),
                };
                Found::Result(results[at].take().expect("a caller takes its result once"))
            }
            Progress::Ended(Ended::Single(result)) => {
                Found::Result(result.take().expect("a caller takes its result once"))
            }
            Progress::Ended(Ended::Failed(cause)) => Found::Failed(cause.clone()),
            Progress::Ended(Ended::Empty) => unreachable!("a batch with a caller is not empty"),
            Progress::UnderWay(callers) => {
                match position(callers, ticket).map(|at| &mut callers[at].waker) {
                    None => Found::Queued,
                    Some(old) => {
                        if offer(old, same, waker) {
                            Found::Runs
                        } else {
                            Found::NeedsWaker
                        }
                    }
                }
            }
        }
    }

    /// Whether it has ended. If it has not, the waker is woken when it has, or when the batch has lost its task.
    pub(super) fn has_ended(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut state = self.state.lock();
        let ended = matches!(state.progress, Progress::Ended(_));
        if !ended && !state.observers.iter().any(|known| known.will_wake(&waker)) {
            state.observers.push(waker);
            return false;
        }
        drop(state);
        discard(Some(waker));
        ended
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    fn waker() -> Waker {
        Arc::new(Nobody).into()
    }

    fn running(tickets: impl IntoIterator<Item = Ticket>) -> Batch<u32> {
        let batch = Batch::new(0, 0);
        let now = tokio::time::Instant::now();
        let caller = |ticket| Caller::new(ticket, None, now, crate::observe::Caller::current());
        batch.run(tickets.into_iter().map(caller).collect());
        batch
    }

    #[test]
    fn a_waker_that_does_is_not_asked_for_again() {
        let batch = running([0]);
        let poll = |same: bool, mut waker: Option<Waker>| {
            let found = batch.poll(0, |_| same, &mut waker);
            (found, waker.is_some())
        };
        assert!(matches!(poll(true, None), (Found::NeedsWaker, _)), "none");
        assert!(matches!(poll(true, Some(waker())), (Found::Runs, false)));
        assert!(matches!(poll(true, None), (Found::Runs, false)));
        assert!(matches!(poll(false, None), (Found::NeedsWaker, _)));
        let replaced = poll(false, Some(waker()));
        assert!(matches!(replaced, (Found::Runs, true)), "the old one");
    }
}
