//! `many`: a call with a list of items.
//!
//! The generated function calls the annotated one with the first item, so that there is one body, one static and one type of
//! bulk call. During a poll, the other items are in the thread-local [`SLOT`]. Where the annotated function joins its batch, it
//! takes them out, lets all items join under one lock, and puts the places of the others into the slot. [`Many`] then polls the
//! call with the first item, and these places.

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

/// What the annotated function puts into the slot.
enum Answer<R> {
    Places(Box<dyn Places<R>>),
    /// All were refused, and get the error of `busy`.
    Refused(Vec<R>),
}

/// Calls a function with several items: `call` passes the first, and the slot passes the others.
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

/// Puts the previous content of the slot back, also if the poll panics.
struct Restores(Option<Box<dyn Any + Send>>);

impl Drop for Restores {
    fn drop(&mut self) {
        drop(SLOT.replace(self.0.take()));
    }
}

impl<F: Future<Output = R>, R: Send + 'static> Future for Many<F, R> {
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
                        // The function has not reached the point where it joins.
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

/// Places in batches, without the types of these.
trait Places<R>: Send {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<R>>;
}
