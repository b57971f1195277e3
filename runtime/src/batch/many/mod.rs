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
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

mod join;
mod seats;
mod several;

pub use self::several::{Several, several};

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

/// Places in batches, whatever these are.
trait Places<R>: Send {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<R>>;
}
