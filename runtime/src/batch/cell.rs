//! What a batch's callers share: their results, once its bulk call has ended.
//!
//! While a batch is queued its callers are in the group's queue; they move in here when it runs. The lock protects moves
//! of wakers and results and is held for a few instructions.

use std::mem;
use std::task::Waker;

use super::group::{Caller, Id, Ticket, position};
use super::start;
use crate::observe::Warned;
use crate::reentrancy::graph::Execution;
use crate::sync::{Arc, Mutex};
use crate::wake::{discard, offer};

/// What a batch's callers share.
#[derive(Debug)]
pub struct Cell<R> {
    /// Its table's address.
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
    stage: Stage<R>,
    /// Flushes that wait for the end.
    observers: Vec<Waker>,
    /// Callers whose items are in other batches now.
    moved: Vec<Moved<R>>,
}

/// Callers that have moved: those with tickets from the first to the last, to which an offset is added.
#[derive(Debug)]
struct Moved<R> {
    tickets: (Ticket, Ticket),
    offset: Ticket,
    to: Arc<Cell<R>>,
}

#[derive(Debug)]
enum Stage<R> {
    /// With the callers of a running batch.
    UnderWay(Vec<Caller<Waker>>),
    Ended(Ended<R>),
}

/// How a batch ended.
#[derive(Debug)]
pub(crate) enum Ended<R> {
    /// Each caller takes its own: at its ticket, or where the list has its ticket, if some left before the batch ran.
    Results(Vec<Option<R>>, Option<Box<[Ticket]>>),
    /// That of an only caller.
    Single(Option<R>),
    Failed(Failure),
    /// All callers left before it began.
    Empty,
}

impl<R> Ended<R> {
    /// With one result an item.
    pub(super) fn with(results: Vec<R>) -> Self {
        let mut results = results.into_iter();
        if results.len() == 1 {
            Self::Single(results.next())
        } else {
            Self::Results(results.map(Some).collect(), None)
        }
    }
}

/// Why a batch has no results. Each caller panics with it.
#[derive(Debug, Clone)]
pub enum Failure {
    Panic(Box<str>),
    WrongNumber { items: usize, results: usize },
    RuntimeGone,
    NoTimers,
}

/// What a caller that is polled finds.
pub(super) enum Found<R> {
    Result(R),
    Failed(Failure),
    /// It is queued: the group knows.
    Queued,
    Runs,
    NeedsWaker,
    /// Its item is in another batch, under this ticket.
    Moved(Arc<Cell<R>>, Ticket),
}

/// What a caller leaves in a batch that is not queued.
#[derive(Debug)]
pub(super) enum Leaves<R> {
    /// A waker, to be dropped.
    Waker(Option<Waker>),
    Moved(Arc<Cell<R>>, Ticket),
}

impl<R> State<R> {
    #[cold]
    fn moved(&self, ticket: Ticket) -> Option<(Arc<Cell<R>>, Ticket)> {
        let moved = self.moved.iter().find(|moved| {
            let (first, last) = moved.tickets;
            (first..=last).contains(&ticket)
        })?;
        Some((moved.to.clone(), ticket.wrapping_add(moved.offset)))
    }
}

impl<R> Cell<R> {
    /// Its numbers are given to it when its batch is opened.
    pub(super) fn new(table: usize, hash: u64) -> Self {
        let state = State {
            stage: Stage::UnderWay(Vec::new()),
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
        self.state.lock().stage = Stage::UnderWay(callers);
    }

    /// The batch as an execution.
    pub(super) fn execution(&self) -> Execution {
        Execution {
            table: self.table,
            id: self.id,
        }
    }

    /// What the bulk calls of its group hold, if they are limited.
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

    /// Callers of this batch, which is queued, are in another from now on.
    pub(super) fn moves(&self, tickets: (Ticket, Ticket), offset: Ticket, to: Arc<Self>) {
        self.state.lock().moved.push(Moved {
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
        match &mut state.stage {
            Stage::UnderWay(callers) => {
                Leaves::Waker(position(callers, ticket).and_then(|at| callers[at].waker.take()))
            }
            Stage::Ended(_) => Leaves::Waker(None),
        }
    }

    /// The batch has ended. Returns everybody to wake.
    pub(super) fn end(&self, mut ended: Ended<R>) -> (Vec<Caller<Waker>>, Vec<Waker>) {
        let mut state = self.state.lock();
        let Stage::UnderWay(callers) = &mut state.stage else {
            unreachable!("a batch ends once")
        };
        let callers = mem::take(callers);
        if let (Ended::Single(result), false) = (&mut ended, state.moved.is_empty()) {
            // Others may ask for it.
            ended = Ended::Results(vec![result.take()], None);
        }
        if let (Ended::Results(_, tickets), Some(last)) = (&mut ended, callers.last()) {
            if last.ticket as usize + 1 != callers.len() {
                *tickets = Some(callers.iter().map(|caller| caller.ticket).collect());
            }
        }
        state.stage = Stage::Ended(ended);
        (callers, mem::take(&mut state.observers))
    }

    /// Takes the wakers of flushes that wait for the end, since they may have something to do before.
    pub(super) fn observers(&self) -> Vec<Waker> {
        mem::take(&mut self.state.lock().observers)
    }

    /// A caller is polled: its result, if it is there, and by its ticket.
    #[inline]
    pub(super) fn take(&self, ticket: Ticket) -> Option<R> {
        match &mut self.state.lock().stage {
            Stage::Ended(Ended::Results(results, None)) => results.get_mut(ticket as usize)?.take(),
            Stage::Ended(Ended::Single(result)) => result.take(),
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
        match &mut state.stage {
            Stage::Ended(Ended::Results(results, tickets)) => {
                let at = match tickets {
                    None => ticket as usize,
                    Some(tickets) => tickets
                        .binary_search(&ticket)
                        .expect("a caller of this batch"),
                };
                Found::Result(results[at].take().expect("a caller takes its result once"))
            }
            Stage::Ended(Ended::Single(result)) => {
                Found::Result(result.take().expect("a caller takes its result once"))
            }
            Stage::Ended(Ended::Failed(failure)) => Found::Failed(failure.clone()),
            Stage::Ended(Ended::Empty) => unreachable!("a batch with a caller is not empty"),
            Stage::UnderWay(callers) => {
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
        let ended = matches!(state.stage, Stage::Ended(_));
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

    fn running(tickets: impl IntoIterator<Item = Ticket>) -> Cell<u32> {
        let cell = Cell::new(0, 0);
        let now = tokio::time::Instant::now();
        let caller = |ticket| Caller::new(ticket, None, now, crate::observe::Caller::current());
        cell.run(tickets.into_iter().map(caller).collect());
        cell
    }

    #[test]
    fn a_waker_that_does_is_not_asked_for_again() {
        let cell = running([0]);
        let poll = |same: bool, mut waker: Option<Waker>| {
            let found = cell.poll(0, |_| same, &mut waker);
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
