//! `limit`: a bulk call takes a permit of a semaphore before it starts.
//!
//! A batch that could start but for its permit takes a *place* in the semaphore's queue and goes on filling. It does that
//! under its shard's lock, at the moment at which it becomes due, so that the semaphore, which is fair, gives its permits in
//! the order in which batches became due. Taking a place runs no user code: the waker is a [`Grant`]. Giving up a place, or a
//! permit, wakes others, so that is done after unlocking.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use std::{fmt, mem};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;

use super::Results;
use super::results::Bulk;
use crate::reentrancy::graph::Execution;
use crate::sync::{Arc, Mutex};
use crate::wake::{discard, guarded};

/// What a bulk call needs to start, besides its turn. Most need nothing.
pub trait Start {
    /// Whether there are bulk calls of this type that need a permit.
    const MAY_NEED_PERMIT: bool = false;

    /// How it stands with its permit.
    #[inline]
    fn permit(&self) -> Permit {
        Permit::Unneeded
    }

    /// Takes a place in the queue for a permit, unless it has one.
    #[inline]
    fn ask(&mut self) {}

    /// Gives up its place, or its permit: to be dropped after unlocking.
    #[inline]
    fn give_up(&mut self) -> Option<Box<dyn Send>> {
        None
    }

    /// What tells its task that it has a permit.
    #[inline]
    fn grant(&self) -> Option<Arc<Grant>> {
        None
    }

    /// The address of the semaphore, or 0.
    #[inline]
    fn semaphore(&self) -> usize {
        0
    }

    /// How long it has waited for its permit.
    #[inline]
    fn waited(&self) -> Option<Duration> {
        None
    }
}

/// How a batch stands with its permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// It needs none.
    Unneeded,
    /// It has no place in the queue.
    NotAsked,
    /// It has a place in the queue.
    Waits,
    /// It has one, or there never will be one: the semaphore was closed.
    Has,
}

/// A bulk call that takes a permit.
pub struct Limited<B> {
    semaphore: Arc<Semaphore>,
    place: Place,
    asked: Option<Instant>,
    bulk: B,
}

/// A bulk call that takes a permit of this semaphore before it starts.
pub fn limited<B>(semaphore: Arc<Semaphore>, bulk: B) -> Limited<B> {
    Limited {
        semaphore,
        place: Place::None,
        asked: None,
        bulk,
    }
}

/// The semaphore of the option `limit`: an `Arc`, or what derefs to one, such as a `LazyLock`.
pub fn limit(semaphore: &Arc<Semaphore>) -> Arc<Semaphore> {
    semaphore.clone()
}

type Acquire = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

enum Place {
    None,
    Waits(Acquire, Arc<Grant>),
    Has(OwnedSemaphorePermit),
    Closed,
}

/// Notes that a permit was given to a place in the queue, and wakes the batch's task.
#[derive(Debug, Default)]
pub struct Grant {
    granted: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Grant {
    /// The task that waits now. Returns whether there is nothing to wait for any more.
    pub(super) fn wakes(&self, task: Waker) -> bool {
        let old = self.task.lock().replace(task);
        discard(old);
        self.granted.load(SeqCst)
    }
}

impl Wake for Grant {
    fn wake(self: Arc<Self>) {
        self.granted.store(true, SeqCst);
        let task = self.task.lock().take();
        if let Some(task) = task {
            // tokio wakes several in one go: a panic would keep it from waking the others.
            guarded(|| task.wake());
        }
    }
}

impl<B> Start for Limited<B> {
    const MAY_NEED_PERMIT: bool = true;

    fn permit(&self) -> Permit {
        match &self.place {
            Place::None => Permit::NotAsked,
            Place::Waits(_, grant) if !grant.granted.load(SeqCst) => Permit::Waits,
            Place::Waits(..) | Place::Has(_) | Place::Closed => Permit::Has,
        }
    }

    fn ask(&mut self) {
        if !matches!(self.place, Place::None) {
            return;
        }
        self.asked = Some(Instant::now());
        self.place = match self.semaphore.clone().try_acquire_owned() {
            Ok(permit) => Place::Has(permit),
            Err(TryAcquireError::Closed) => Place::Closed,
            Err(TryAcquireError::NoPermits) => {
                let grant = Arc::new(Grant::default());
                let acquire = self.semaphore.clone().acquire_owned();
                // A task that has used up its budget would be told to come again, and lose its turn.
                let mut acquire: Acquire = Box::pin(tokio::task::unconstrained(acquire));
                let waker = Waker::from(grant.clone());
                match acquire.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Pending => Place::Waits(acquire, grant),
                    Poll::Ready(Ok(permit)) => Place::Has(permit),
                    Poll::Ready(Err(_)) => Place::Closed,
                }
            }
        };
    }

    fn give_up(&mut self) -> Option<Box<dyn Send>> {
        self.asked = None;
        match mem::replace(&mut self.place, Place::None) {
            Place::None | Place::Closed => None,
            place => Some(Box::new(place)),
        }
    }

    fn grant(&self) -> Option<Arc<Grant>> {
        match &self.place {
            Place::Waits(_, grant) => Some(grant.clone()),
            _ => None,
        }
    }

    fn semaphore(&self) -> usize {
        Arc::as_ptr(&self.semaphore).addr()
    }

    fn waited(&self) -> Option<Duration> {
        Some(self.asked.map_or(Duration::ZERO, |asked| asked.elapsed()))
    }
}

/// No permit will ever be given.
struct Closed;

impl Place {
    /// The permit, if it was given. A batch that runs without is urgent: a bulk call waits for it that may hold the last.
    fn taken(self) -> Result<Option<OwnedSemaphorePermit>, Closed> {
        match self {
            Self::None => Ok(None),
            Self::Has(permit) => Ok(Some(permit)),
            Self::Waits(mut acquire, _) => {
                let mut cx = Context::from_waker(Waker::noop());
                match acquire.as_mut().poll(&mut cx) {
                    Poll::Ready(Ok(permit)) => Ok(Some(permit)),
                    Poll::Ready(Err(_)) => Err(Closed),
                    Poll::Pending => Ok(None),
                }
            }
            Self::Closed => Err(Closed),
        }
    }
}

impl<T, R, B> Bulk<T, R> for Limited<B>
where
    T: 'static,
    B: Bulk<T, R>,
{
    type Body = B::Body;
    fn run(self, items: Vec<T>) -> impl Future<Output = Results<R>> + Send + 'static
    where
        T: Send + 'static,
    {
        let Self { place, bulk, .. } = self;
        let permit = place.taken();
        async move {
            let Ok(permit) = permit else {
                // As a panic of the bulk call, without its hook: what the callers make of it is theirs.
                resume_unwind(Box::new("the semaphore of `limit` was closed"));
            };
            let results = bulk.run(items).await;
            drop(permit);
            results
        }
    }
}

/// What batches wait for that wait for a permit, and what bulk calls hold that have one.
pub(crate) fn limiter(semaphore: usize) -> Execution {
    Execution::limiter(semaphore, u64::MAX)
}

impl<B> fmt::Debug for Limited<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").finish_non_exhaustive()
    }
}

/// For models, whose bulk calls are nothing.
#[cfg(test)]
impl Start for () {}

#[cfg(test)]
impl<B> Limited<B> {
    /// Its permit, as it starts. `Err`: the semaphore was closed.
    pub(super) fn starts(self) -> Result<Option<OwnedSemaphorePermit>, ()> {
        self.place.taken().map_err(|Closed| ())
    }
}
