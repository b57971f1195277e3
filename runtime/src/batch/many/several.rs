//! The items beside the first, in the annotated function.

use std::fmt;
use std::mem;
use std::ops::Deref;

use super::seats::{Seats, Unfailing};
use super::{Answer, Order, SLOT};
use crate::batch::item::Item;
use crate::batch::table::Queue;
use crate::failure::Failure;
use crate::sharing::IsResult;
use crate::sync::Arc;

/// The items beside the first, and the closure that makes an item from what the caller passed.
pub struct Several<T, R, M> {
    items: Vec<T>,
    make: M,
    places: Option<Box<dyn Unfailing<R>>>,
    refused: usize,
}

/// Takes the items beside the first, if the call is one with several items.
pub fn several<T: Send + 'static, U, R, M: FnMut(T) -> U>(make: M) -> Several<T, R, M> {
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
    /// The number of items beside the first.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Notes that all were refused after so many had been made.
    pub(super) fn refused(&mut self, items: usize) {
        self.refused = items;
    }

    /// Makes the items that join, outside of any lock.
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
    /// Notes the places of the others.
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

    /// Refuses all.
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
