//! Closed batches that can't start, found by their numbers.
//!
//! All of this module's parts but [`Places`] are compiled for each annotated function, and a map costs a hundred times as much
//! of that as a list.

use std::collections::BTreeMap;

use super::Id;
use super::order::Boxed;
use super::queued::Queued;

pub(super) struct Aside<Q> {
    /// In no order.
    batches: Vec<Boxed<Q>>,
    places: Places,
}

/// Where each batch is in the list.
struct Places(BTreeMap<Id, usize>);

impl<T, B, W, C> Aside<Queued<T, B, W, C>> {
    pub(super) const fn new() -> Self {
        Self {
            batches: Vec::new(),
            places: Places(BTreeMap::new()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn insert(&mut self, batch: Boxed<Queued<T, B, W, C>>) {
        self.places.set(batch.id, self.batches.len());
        self.batches.push(batch);
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Queued<T, B, W, C>> {
        let at = self.places.of(id)?;
        Some(&mut *self.batches[at])
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<Boxed<Queued<T, B, W, C>>> {
        let at = self.places.remove(id)?;
        let batch = self.batches.swap_remove(at);
        if let Some(moved) = self.batches.get(at) {
            self.places.set(moved.id, at);
        }
        Some(batch)
    }

    /// The newest batch.
    pub(super) fn last(&self) -> Option<Id> {
        self.places.last()
    }

    /// In no order.
    pub(super) fn all(&self) -> &[Boxed<Queued<T, B, W, C>>] {
        &self.batches
    }

    /// In no order.
    pub(super) fn all_mut(&mut self) -> &mut [Boxed<Queued<T, B, W, C>>] {
        &mut self.batches
    }
}

impl Places {
    fn of(&self, id: Id) -> Option<usize> {
        self.0.get(&id).copied()
    }

    fn set(&mut self, id: Id, at: usize) {
        self.0.insert(id, at);
    }

    fn remove(&mut self, id: Id) -> Option<usize> {
        self.0.remove(&id)
    }

    fn last(&self) -> Option<Id> {
        self.0.last_key_value().map(|(&id, _)| id)
    }
}
