//! The values that no two items of a batch may share, and that order the batches which share them.
//!
//! A value belongs to the first batch that has it. Others that have it, too, stand behind it in the order in which they were
//! opened, which is the order of their numbers: each is blocked until it is the first.

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

/// What became of a value whose item is gone.
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

    /// Whether a batch has this value, or one that was opened after it: then a further item with the value does not fit into
    /// the batch, since it would come before an older one.
    pub(super) fn has(&self, hash: u64, value: &U, batch: Id) -> bool {
        let found = self
            .values
            .find(hash, |it| it.number.0 == hash && it.value == *value);
        found.is_some_and(|it| it.first >= batch || it.behind.range(batch..).next().is_some())
    }

    /// A batch, which does not have it, gets this value. Returns its number, whether others have it before the batch, and
    /// what is to be dropped.
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
