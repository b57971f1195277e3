//! Unique values: no two items of a batch may share one, and batches that share one run in order.
//!
//! A value belongs to the first batch that has it. Later batches with the same value are behind it in the order of their numbers.
//! Each of them is blocked until it is the first.

use std::collections::BTreeSet;

use hashbrown::HashTable;

use super::Id;

/// A value: its hash, and a number that tells it from others with that hash.
pub(crate) type Number = (u64, u64);

pub(crate) struct Uniques<U> {
    values: HashTable<Value<U>>,
    last: u64,
}

struct Value<U> {
    number: Number,
    value: U,
    first: Id,
    behind: BTreeSet<Id>,
}

/// What happened to a value whose item has gone.
pub(super) enum Released<U> {
    /// No batch has it any more: to be dropped.
    Free(U),
    /// This batch is the first now.
    Next(Id),
    /// The batch was not the first.
    Behind,
}

impl<U: Eq> Uniques<U> {
    pub(super) fn new() -> Self {
        Self {
            values: HashTable::new(),
            last: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether this batch or a later one has the value. If so, an item with the value does not fit into the batch, since it would
    /// overtake an older one.
    pub(super) fn has(&self, hash: u64, value: &U, batch: Id) -> bool {
        let found = self
            .values
            .find(hash, |it| it.number.0 == hash && it.value == *value);
        found.is_some_and(|it| it.first >= batch || it.behind.range(batch..).next().is_some())
    }

    /// Adds a value to a batch that does not have it. Returns the value's number, whether an earlier batch has it, and what is to be
    /// dropped.
    pub(super) fn add(&mut self, hash: u64, value: U, batch: Id) -> (Number, bool, Option<U>) {
        let same = |it: &Value<U>| it.number.0 == hash && it.value == value;
        if let Some(it) = self.values.find_mut(hash, same) {
            it.behind.insert(batch);
            return (it.number, true, Some(value));
        }
        self.last += 1;
        let number = (hash, self.last);
        let it = Value {
            number,
            value,
            first: batch,
            behind: BTreeSet::new(),
        };
        self.values.insert_unique(hash, it, |it| it.number.0);
        (number, false, None)
    }

    /// Whether this batch is the first that has the value.
    pub(super) fn is_first(&self, number: Number, batch: Id) -> bool {
        let found = self.values.find(number.0, |it| it.number == number);
        found.is_some_and(|it| it.first == batch)
    }

    /// An item moves to a batch further ahead, from the batch that was the first to have its value.
    pub(super) fn moves(&mut self, number: Number, to: Id) {
        if let Some(it) = self.values.find_mut(number.0, |it| it.number == number) {
            it.first = to;
        }
    }

    /// A batch has the value no more.
    pub(super) fn release(&mut self, number: Number, batch: Id) -> Released<U> {
        let Ok(mut found) = self.values.find_entry(number.0, |it| it.number == number) else {
            return Released::Behind;
        };
        let it = found.get_mut();
        if it.first != batch {
            it.behind.remove(&batch);
            return Released::Behind;
        }
        match it.behind.pop_first() {
            Some(next) => {
                it.first = next;
                Released::Next(next)
            }
            None => {
                let value = found.remove().0.value;
                if self.values.is_empty() {
                    self.values = HashTable::new();
                }
                Released::Free(value)
            }
        }
    }
}
