//! The tables behind one annotated function: one for each monomorphisation, found by its marker's `TypeId`.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::OnceLock;

/// A list that only grows, by one table a monomorphisation: read without a lock, bounded by the program text.
pub(crate) struct Slots {
    first: OnceLock<Box<Slot>>,
}

struct Slot {
    marker: TypeId,
    table: Box<dyn Any + Send + Sync>,
    next: OnceLock<Box<Slot>>,
}

impl Slots {
    pub(crate) const fn new() -> Self {
        Self {
            first: OnceLock::new(),
        }
    }

    /// The table of the monomorphisation with this marker. The type is part of the question: two that agree in the
    /// marker but not in the type (which regions alone could tell apart) do not get each other's.
    #[inline]
    pub(crate) fn get<T: Send + Sync + 'static>(
        &'static self,
        marker: TypeId,
        make: impl FnOnce() -> T,
    ) -> (&'static T, bool) {
        let mut make = Some(make);
        let mut cell = &self.first;
        let mut made = false;
        loop {
            let slot = match cell.get() {
                Some(slot) => slot,
                None => cell.get_or_init(|| {
                    made = true;
                    let make = make.take().expect("a table is made once");
                    Box::new(Slot {
                        marker,
                        table: Box::new(make()),
                        next: OnceLock::new(),
                    })
                }),
            };
            if slot.marker == marker {
                if let Some(table) = slot.table.downcast_ref() {
                    return (table, made);
                }
            }
            cell = &slot.next;
        }
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
        let (a, b) = (TypeId::of::<A>(), TypeId::of::<B>());
        assert_eq!(SLOTS.get(a, || 1u8), (&1, true));
        assert_eq!(SLOTS.get(b, || 2u8), (&2, true));
        assert_eq!(SLOTS.get(a, || 3u16), (&3, true));
        assert_eq!(SLOTS.get(a, || 9u8), (&1, false));
        assert_eq!(SLOTS.get(b, || 9u8), (&2, false));
        assert_eq!(SLOTS.get(a, || 9u16), (&3, false));
    }
}
