//! `many`: a list of items that joins a group as one call.
//!
//! The generated function calls the annotated one with the first item, so that there is one body, one static and one type of
//! bulk call. It leaves the other items in a thread-local [`SLOT`] for the time of a poll. The annotated function takes
//! them out where it joins its batch, has all of them join under one lock, and leaves the places of the others in the slot.
//! [`Many`] then polls the call of the first item and these places.

use std::any::Any;
use std::cell::Cell as Local;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use super::Item;
use super::cell::Cell;
use super::group::{Ticket, Turn};
use super::seat::{Spawn, failure, may_wait};
use super::table::{Polled, Queue, Seated};
use crate::failure::Failure;
use crate::reentrancy::waits;
use crate::sharing::IsResult;
use crate::sync::Arc;

thread_local! {
    static SLOT: Local<Option<Box<dyn Any + Send>>> = const { Local::new(None) };
}

/// The items beside the first, for the annotated function.
struct Order<T>(Vec<T>);

/// What became of them.
enum Answer<R> {
    Places(Box<dyn Places<R>>),
    /// Each got the error of `busy`.
    Refused(Vec<R>),
}

/// Calls a function with several items: the first by `call`, and the others with it.
pub fn many<T, F>(items: Vec<T>, call: impl FnOnce(T) -> F) -> Many<F, F::Output>
where
    T: Send + 'static,
    F: Future,
{
    let mut items = VecDeque::from(items);
    let first = items.pop_front();
    let order = Order(Vec::from(items));
    Many {
        order: (!order.0.is_empty()).then(|| Box::new(order) as _),
        others: None,
        first: first.map(call),
        result: None,
        results: Vec::new(),
    }
}

pin_project! {
    /// A call with several items.
    pub struct Many<F, R> {
        // Until the annotated function takes it.
        order: Option<Box<dyn Any + Send>>,
        others: Option<Box<dyn Places<R>>>,
        #[pin]
        first: Option<F>,
        result: Option<R>,
        results: Vec<R>,
    }
}

/// Puts back what was in the slot before, also if the poll panics.
struct Restores(Option<Box<dyn Any + Send>>);

impl Drop for Restores {
    fn drop(&mut self) {
        drop(SLOT.replace(self.0.take()));
    }
}

impl<F, R> Future for Many<F, R>
where
    F: Future<Output = R>,
    R: Send + 'static,
{
    type Output = Vec<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<R>> {
        let mut this = self.project();
        if let Some(first) = this.first.as_mut().as_pin_mut() {
            let polled = match this.order.take() {
                None => first.poll(cx),
                Some(order) => {
                    let restores = Restores(SLOT.replace(Some(order)));
                    let polled = first.poll(cx);
                    let left = SLOT.take();
                    drop(restores);
                    match left.map(|left| left.downcast::<Answer<R>>()) {
                        Some(Ok(answer)) => match *answer {
                            Answer::Places(places) => *this.others = Some(places),
                            Answer::Refused(refused) => *this.results = refused,
                        },
                        // It has not come so far.
                        Some(Err(order)) => *this.order = Some(order),
                        None => {}
                    }
                    polled
                }
            };
            if let Poll::Ready(result) = polled {
                *this.result = Some(result);
                this.first.set(None);
            }
        }
        if let Some(others) = this.others {
            match others.poll(cx) {
                Poll::Ready(results) => {
                    *this.results = results;
                    *this.others = None;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        if this.first.is_some() {
            return Poll::Pending;
        }
        let mut results = mem::take(this.results);
        if let Some(first) = this.result.take() {
            results.insert(0, first);
        }
        Poll::Ready(results)
    }
}

impl<F, R> fmt::Debug for Many<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Many").finish_non_exhaustive()
    }
}

/// The items beside the first, in the annotated function, and how each is made of what its caller passed.
pub struct Several<T, R, M> {
    items: Vec<T>,
    make: M,
    places: Option<Box<dyn Unfailing<R>>>,
    refused: usize,
}

/// Takes the items beside the first, if the call is one with several items.
pub fn several<T, U, R, M>(make: M) -> Several<T, R, M>
where
    T: Send + 'static,
    M: FnMut(T) -> U,
{
    let items = match SLOT.take().map(|order| order.downcast::<Order<T>>()) {
        Some(Ok(order)) => order.0,
        Some(Err(other)) => {
            SLOT.set(Some(other));
            Vec::new()
        }
        None => Vec::new(),
    };
    Several {
        items,
        make,
        places: None,
        refused: 0,
    }
}

impl<T, R, M> Several<T, R, M> {
    /// How many there are, beside the first.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// So many had been made when they were refused.
    pub(super) fn refused(&mut self, items: usize) {
        self.refused = items;
    }

    /// What joins, made outside of any lock.
    pub(super) fn make<I, U>(&mut self) -> Vec<Item<I, U>>
    where
        M: FnMut(T) -> Item<I, U>,
    {
        mem::take(&mut self.items)
            .into_iter()
            .map(&mut self.make)
            .collect()
    }
}

impl<T, R: Send + 'static, M> Several<T, R, M> {
    /// The others have these places.
    pub(super) fn sits<H>(&mut self, seats: Seats<H, R>)
    where
        H: Deref<Target: Queue<R>> + Clone + Send + 'static,
    {
        if !seats.parts.is_empty() {
            self.places = Some(Box::new(seats));
        }
    }

    /// Leaves the places to the call with several items. A failure of a bulk call is a panic.
    pub fn __piggyback_wait(self) {
        self.wait(None);
    }

    /// The same; a failure becomes an error.
    pub fn __piggyback_wait_or<F>(self, failed: &Arc<F>)
    where
        R: IsResult,
        F: Fn(Failure) -> R::Err + Send + Sync + 'static,
    {
        let failed = failed.clone();
        let failed = move |failure| R::from_result(Err(failed(failure)));
        self.wait(Some(Box::new(failed)));
    }

    fn wait(self, failed: Option<Box<dyn Fn(Failure) -> R + Send>>) {
        if let Some(places) = self.places {
            let places: Answer<R> = Answer::Places(places.or(failed));
            SLOT.set(Some(Box::new(places)));
        }
    }

    /// All are refused.
    pub fn __piggyback_refuse(self, busy: impl FnMut() -> R) {
        let refused = self.items.len().max(self.refused);
        if refused > 0 {
            let refused = std::iter::repeat_with(busy).take(refused);
            let refused: Answer<R> = Answer::Refused(refused.collect());
            SLOT.set(Some(Box::new(refused)));
        }
    }
}

impl<T, R, M> fmt::Debug for Several<T, R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Several").finish_non_exhaustive()
    }
}

/// Places of which it is not known yet what becomes of a failure.
trait Unfailing<R>: Send {
    fn or(self: Box<Self>, failed: Option<Box<dyn Fn(Failure) -> R + Send>>) -> Box<dyn Places<R>>;
}

/// Places in batches, whatever these are.
trait Places<R>: Send {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<R>>;
}

/// The places of one call in a table's batches.
pub(super) struct Seats<H, R>
where
    H: Deref<Target: Queue<R>>,
{
    table: H,
    /// Without a result so far.
    parts: Vec<Part<R>>,
    /// By their places in the list.
    results: Vec<Option<R>>,
    failed: Option<Box<dyn Fn(Failure) -> R + Send>>,
    spawn: Spawn<H, R>,
}

/// Items that follow one another in the list and in a batch. Only the first has a waker: who polls one looks at all.
struct Part<R> {
    cell: Arc<Cell<R>>,
    first: Ticket,
    count: Ticket,
    /// The place of the first in the list.
    at: usize,
    noted: waits::Ticket,
}

impl<H, R> Seats<H, R>
where
    H: Deref<Target: Queue<R>> + Clone + Send + 'static,
    R: Send + 'static,
{
    pub(super) fn new(table: H, spawn: Spawn<H, R>) -> Self {
        Self {
            table,
            parts: Vec::new(),
            results: Vec::new(),
            failed: None,
            spawn,
        }
    }

    /// The next item of the list has a place. Its batch gets its task at once: others may come into it.
    pub(super) fn add(&mut self, seated: Seated<R>) {
        let Seated {
            cell,
            ticket,
            nests,
            task,
            ..
        } = seated;
        let at = self.results.len();
        self.results.push(None);
        match self.parts.last_mut() {
            Some(part) if Arc::ptr_eq(&part.cell, &cell) && part.first + part.count == ticket => {
                part.count += 1;
                waits::end(nests.ticket);
            }
            _ => self.parts.push(Part {
                cell: cell.clone(),
                first: ticket,
                count: 1,
                at,
                noted: nests.ticket,
            }),
        }
        if nests.is_limited {
            may_wait(self.table.clone(), cell.clone());
        }
        if let Some(turn) = task {
            self.give_task(&cell, turn);
        }
    }

    /// Returns whether the task has ended already.
    fn give_task(&self, cell: &Arc<Cell<R>>, turn: Turn) -> bool {
        match Handle::try_current() {
            Ok(runtime) => (self.spawn)(&runtime, self.table.clone(), cell.clone(), turn),
            Err(_) => self.cannot(cell, turn, "outside of a tokio runtime"),
        }
    }

    #[cold]
    fn cannot(&self, cell: &Cell<R>, turn: Turn, called: &str) -> ! {
        self.table.orphan(cell, turn);
        panic!(
            "`{}` was called {called}: a batch needs one to run its bulk call on",
            self.table.path()
        );
    }

    /// Polls the part at the end of the list. Returns it, if it waits.
    fn poll_last(&mut self, cx: &mut Context<'_>) -> Option<Part<R>> {
        let mut ended = false;
        loop {
            let part = self.parts.last()?;
            let (cell, first) = (part.cell.clone(), part.first);
            match self.table.poll(&cell, first, cx) {
                Polled::Result(result) => self.has(result),
                Polled::Failed(cause) => {
                    let failure = failure(self.table.path(), cause);
                    let result = match &self.failed {
                        Some(failed) => failed(failure),
                        None => panic!("{failure}"),
                    };
                    self.has(result);
                }
                Polled::Waits => break,
                Polled::Rescues(batch, turn) => {
                    match Handle::try_current() {
                        Ok(runtime) => {
                            (self.spawn)(&runtime, self.table.clone(), batch, turn);
                        }
                        Err(_) => drop(self.table.orphan(&batch, turn)),
                    }
                    break;
                }
                Polled::Moved(to, ticket) => self.moved(to, ticket),
                Polled::Adopts(turn) if ended => {
                    self.cannot(&cell, turn, "on a tokio runtime that was shut down")
                }
                Polled::Adopts(turn) => {
                    ended = self.give_task(&cell, turn);
                    if !ended {
                        break;
                    }
                }
            }
        }
        let mut part = self.parts.pop()?;
        if waits::has_moved(part.noted) {
            let limiters = part.cell.limiters();
            if let Ok(ticket) = waits::begin(part.cell.execution(), &limiters) {
                waits::end(mem::replace(&mut part.noted, ticket));
            }
        }
        Some(part)
    }

    /// The first item of the last part has its result.
    fn has(&mut self, result: R) {
        let Some(part) = self.parts.last_mut() else {
            return;
        };
        self.results[part.at] = Some(result);
        (part.first, part.count, part.at) = (part.first + 1, part.count - 1, part.at + 1);
        if part.count == 0 {
            self.parts.pop().into_iter().for_each(Part::ends);
        }
    }

    /// The first item of the last part is in another batch, with some of those that follow it, perhaps.
    fn moved(&mut self, to: Arc<Cell<R>>, first: Ticket) {
        let Some(part) = self.parts.last_mut() else {
            return;
        };
        let count = (1..part.count)
            .find(|&n| match part.cell.moved(part.first + n) {
                Some((cell, ticket)) => !Arc::ptr_eq(&cell, &to) || ticket != first + n,
                None => true,
            })
            .unwrap_or(part.count);
        let moved = Part {
            cell: to,
            first,
            count,
            at: part.at,
            noted: 0,
        };
        (part.first, part.at) = (part.first + count, part.at + count as usize);
        part.count -= count;
        if part.count == 0 {
            self.parts.pop().into_iter().for_each(Part::ends);
        }
        self.parts.push(moved);
    }
}

impl<R> Part<R> {
    fn ends(self) {
        waits::end(self.noted);
    }
}

impl<H, R> Unfailing<R> for Seats<H, R>
where
    H: Deref<Target: Queue<R>> + Clone + Send + 'static,
    R: Send + 'static,
{
    fn or(
        mut self: Box<Self>,
        failed: Option<Box<dyn Fn(Failure) -> R + Send>>,
    ) -> Box<dyn Places<R>> {
        self.failed = failed;
        self
    }
}

impl<H, R> Places<R> for Seats<H, R>
where
    H: Deref<Target: Queue<R>> + Clone + Send + 'static,
    R: Send + 'static,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<R>> {
        let mut waits = Vec::new();
        while !self.parts.is_empty() {
            waits.extend(self.poll_last(cx));
        }
        waits.reverse();
        self.parts = waits;
        if self.parts.is_empty() {
            Poll::Ready(self.results.drain(..).flatten().collect())
        } else {
            Poll::Pending
        }
    }
}

impl<H, R> Drop for Seats<H, R>
where
    H: Deref<Target: Queue<R>>,
{
    fn drop(&mut self) {
        for part in self.parts.drain(..) {
            // The last first: that leaves no gaps.
            for n in (0..part.count).rev() {
                self.table.leave(&part.cell, part.first + n);
            }
            part.ends();
        }
    }
}
