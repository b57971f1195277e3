//! The tables behind one annotated function: one for each monomorphisation, found by its marker's `TypeId`.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use once_cell::sync::OnceCell;

/// A list that only grows, by one table a monomorphisation: read without a lock, bounded by the program text.
pub(crate) struct Slots {
    first: OnceCell<Box<Slot>>,
}

struct Slot {
    /// A [`Marked`].
    table: Box<dyn Any + Send + Sync>,
    next: OnceCell<Box<Slot>>,
}

/// A table under its marker: the type of this is the question that a look-up asks.
struct Marked<M, T> {
    table: T,
    marker: PhantomData<fn() -> M>,
}

impl Slots {
    pub(crate) const fn new() -> Self {
        Self {
            first: OnceCell::new(),
        }
    }

    /// The table of the monomorphisation with this marker. The table's type is part of the question: two that agree in
    /// the marker but not in the type (which regions alone could tell apart) do not get each other's.
    #[inline]
    pub(crate) fn get<M: 'static, T: Send + Sync + 'static>(
        &'static self,
        make: impl FnOnce() -> T,
    ) -> (&'static T, bool) {
        if let Some(slot) = self.first.get() {
            if let Some(Marked { table, .. }) = slot.table.downcast_ref::<Marked<M, T>>() {
                return (table, false);
            }
        }
        self.search::<M, T>(make)
    }

    #[cold]
    fn search<M: 'static, T: Send + Sync + 'static>(
        &'static self,
        make: impl FnOnce() -> T,
    ) -> (&'static T, bool) {
        let mut make = Some(make);
        let mut mine = None;
        let mut cell = &self.first;
        loop {
            let (slot, made) = match cell.get() {
                Some(slot) => (slot, false),
                None => {
                    let slot = mine.take().unwrap_or_else(|| {
                        let make = make.take().expect("a table is made once");
                        Slot::new::<M, T>(make())
                    });
                    match cell.try_insert(slot) {
                        Ok(slot) => (slot, true),
                        // Somebody else's is first. Ours may be for another place.
                        Err((slot, lost)) => {
                            mine = Some(lost);
                            (slot, false)
                        }
                    }
                }
            };
            if let Some(Marked { table, .. }) = slot.table.downcast_ref::<Marked<M, T>>() {
                return (table, made);
            }
            cell = &slot.next;
        }
    }
}

impl Slot {
    fn new<M: 'static, T: Send + Sync + 'static>(table: T) -> Box<Self> {
        let marker = PhantomData::<fn() -> M>;
        Box::new(Self {
            table: Box::new(Marked { table, marker }),
            next: OnceCell::new(),
        })
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slots")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_and_a_type_have_one_table() {
        static SLOTS: Slots = Slots::new();
        struct A;
        struct B;
        assert_eq!(SLOTS.get::<A, _>(|| 1u8), (&1, true));
        assert_eq!(SLOTS.get::<B, _>(|| 2u8), (&2, true));
        assert_eq!(SLOTS.get::<A, _>(|| 3u16), (&3, true));
        assert_eq!(SLOTS.get::<A, _>(|| 9u8), (&1, false));
        assert_eq!(SLOTS.get::<B, _>(|| 9u8), (&2, false));
        assert_eq!(SLOTS.get::<A, _>(|| 9u16), (&3, false));
    }
}
