//! The seat in a batch that the leader of a loader's flight leaves to the next leader.
//!
//! The body of a loader, which has both attributes, is a seat in a batch. If the leader is dropped while followers wait, the
//! next leader continues with the same seat: the item may be part of a running bulk call, and must not be sent again. So the
//! seat of a dropped leader does not leave its batch. It is kept here, under its flight, until the next leader takes it or the
//! flight has ended.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use super::seat::{Pollable, Seat};
use super::table::Queue;
use crate::failure::Failure;
use crate::reentrancy::Execution;
use crate::reentrancy::frames;
use crate::wake::drop_guarded;

/// Seats by the flights whose leaders left them.
static LEFT: Mutex<BTreeMap<Execution, Box<dyn Any + Send>>> = Mutex::new(BTreeMap::new());

/// The number of seats in [`LEFT`]. A flight that ends reads it first, and takes the lock only if there are any.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn left() -> MutexGuard<'static, BTreeMap<Execution, Box<dyn Any + Send>>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(flight: Execution) -> Option<Box<dyn Any + Send>> {
    if COUNT.load(SeqCst) == 0 {
        return None;
    }
    let place = left().remove(&flight)?;
    COUNT.fetch_sub(1, SeqCst);
    Some(place)
}

fn leave(flight: Execution, place: Box<dyn Any + Send>) {
    let other = left().insert(flight, place);
    if other.is_none() {
        COUNT.fetch_add(1, SeqCst);
    }
    drop_guarded(other);
}

/// The flight has ended: drops what its leader has left.
#[inline]
pub(crate) fn forget(flight: Execution) {
    if COUNT.load(SeqCst) > 0 {
        let place = take(flight);
        drop_guarded(place);
    }
}

/// The flight that a call of a loader may lead.
#[derive(Debug, Clone, Copy)]
pub struct Heir(pub(crate) Option<Execution>);

impl Heir {
    /// The flight, if the call leads it: then the flight is the innermost execution that is being polled.
    fn leads(self) -> Option<Execution> {
        self.0.filter(|&flight| frames::innermost() == Some(flight))
    }

    /// Takes the seat that the last leader left, or a new one.
    pub(super) fn take_or<H, R>(self, sit: impl FnOnce() -> Seat<H, R>) -> Inherited<H, R>
    where
        H: Deref<Target: Queue<R>> + Send + 'static,
        R: Send + 'static,
    {
        let place = self.take_or_try(|| Some(sit()));
        place.expect("a place is left, or taken")
    }

    /// The same, if there is a place.
    pub(super) fn take_or_try<H, R>(
        self,
        sit: impl FnOnce() -> Option<Seat<H, R>>,
    ) -> Option<Inherited<H, R>>
    where
        H: Deref<Target: Queue<R>> + Send + 'static,
        R: Send + 'static,
    {
        let flight = self.leads();
        let place = flight.and_then(take);
        let seat = match place.map(|place| place.downcast::<Seat<H, R>>()) {
            Some(Ok(seat)) => *seat,
            _ => sit()?,
        };
        Some(Inherited {
            seat: Some(seat),
            flight,
        })
    }
}

/// A seat that is left to the next leader of a flight, unless it has had its result.
pub struct Inherited<H: Deref<Target: Queue<R>> + Send + 'static, R: Send + 'static> {
    seat: Option<Seat<H, R>>,
    flight: Option<Execution>,
}

impl<H, R> Future for Inherited<H, R>
where
    H: Deref<Target: Queue<R>> + Clone + Unpin + Send + 'static,
    R: Send + 'static,
{
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        self.get_mut().poll_or(cx, |failure| panic!("{failure}"))
    }
}

impl<H, R> Pollable for Inherited<H, R>
where
    H: Deref<Target: Queue<R>> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Output = R;

    fn poll_or(&mut self, cx: &mut Context<'_>, failed: impl FnOnce(Failure) -> R) -> Poll<R> {
        match &mut self.seat {
            Some(seat) => seat.poll_or(cx, failed),
            None => unreachable!("only its drop takes it"),
        }
    }
}

impl<H: Deref<Target: Queue<R>> + Send + 'static, R: Send + 'static> Drop for Inherited<H, R> {
    fn drop(&mut self) {
        if let (Some(flight), Some(mut seat)) = (self.flight, self.seat.take()) {
            if seat.rests() {
                leave(flight, Box::new(seat));
            }
        }
    }
}

impl<H, R> fmt::Debug for Inherited<H, R>
where
    H: Deref<Target: Queue<R>> + Send + 'static,
    R: Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seat.fmt(f)
    }
}
