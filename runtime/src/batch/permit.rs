//! `limit`: a bulk call takes a permit of a semaphore before it starts.
//!
//! A batch that lacks only its permit takes a *place* in the semaphore's queue and continues to fill. It takes the place under
//! its shard's lock, at the moment at which it becomes due, so that the semaphore, which is fair, grants permits in the order in
//! which batches became due. Taking a place runs no user code, since the waker is a [`Grant`]. Giving up a place or a permit wakes
//! other tasks, so it happens after unlocking.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{fmt, mem};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;

use super::results::{Bulk, Results};
use super::start::{Grant, Permit, Start};
use crate::sync::Arc;

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

/// A place or a permit that was given up. Dropping it wakes the next in the semaphore's queue.
struct GivenUp(#[expect(dead_code, reason = "it is there to be dropped")] Place);

#[cfg(test)]
impl Drop for GivenUp {
    fn drop(&mut self) {
        crate::sync::held::assert_none();
    }
}

impl<B> Start for Limited<B> {
    const MAY_NEED_PERMIT: bool = true;

    fn permit(&self) -> Permit {
        match &self.place {
            Place::None => Permit::NotAsked,
            Place::Waits(_, grant) if !grant.is_granted() => Permit::Waits,
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
                // Without this, a task that has used up tokio's budget would be told to try again, and lose its place.
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
            place => Some(Box::new(GivenUp(place))),
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
    /// Takes the permit, if there is one. A batch that runs without a permit is urgent: the bulk call that waits for it may hold
    /// the last permit.
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

impl<T: 'static, R, B: Bulk<T, R>> Bulk<T, R> for Limited<B> {
    type Body = B::Body;
    fn run(self, items: Vec<T>) -> impl Future<Output = Results<R>> + Send + 'static
    where
        T: Send + 'static,
    {
        let Self { place, bulk, .. } = self;
        let permit = place.taken();
        async move {
            let Ok(permit) = permit else {
                // A failure of the bulk call. The panic hook is left out, since the callers decide what to do with the failure.
                resume_unwind(Box::new("the semaphore of `limit` was closed"));
            };
            let results = bulk.run(items).await;
            drop(permit);
            results
        }
    }
}

impl<B> fmt::Debug for Limited<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").finish_non_exhaustive()
    }
}

#[cfg(test)]
impl<B> Limited<B> {
    /// Its permit, as it starts. `Err`: the semaphore was closed.
    pub(super) fn starts(self) -> Result<Option<OwnedSemaphorePermit>, ()> {
        self.place.taken().map_err(|Closed| ())
    }
}
