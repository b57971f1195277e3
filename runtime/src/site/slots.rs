//! The tables of one annotated function: one per monomorphisation, found by its marker's `TypeId`.

use std::any::{Any, TypeId};
use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;

use foldhash::fast::FixedState;
use once_cell::sync::OnceCell;

/// Tables that are added and never removed, read without a lock. The program's text bounds their number.
///
/// The first has a place of its own, which is all that a function needs that is not generic. The others are in a hash table
/// that grows by adding a larger level below: a table is in one of the [`PROBED`] places of the first level that had room.
pub(super) struct Slots {
    first: OnceCell<Slot>,
    others: OnceCell<Box<Level>>,
}

struct Level {
    places: Box<[OnceCell<Slot>]>,
    below: OnceCell<Box<Level>>,
}

/// The places of a level in which a table may be.
const PROBED: usize = 4;
/// The places of the first level. Each further one has four times as many.
const PLACES: usize = 16;

struct Slot {
    /// That of the [`Marked`].
    id: TypeId,
    /// A [`Marked`].
    table: Box<dyn Any + Send + Sync>,
}

/// A table under its marker: the type of this identifies a table.
struct Marked<M, T> {
    table: T,
    marker: PhantomData<fn() -> M>,
}

impl Slots {
    pub(super) const fn new() -> Self {
        Self {
            first: OnceCell::new(),
            others: OnceCell::new(),
        }
    }

    /// Returns the table of the monomorphisation with this marker, and whether this call made it. The table's type is part of
    /// what is asked for: two that agree in the marker but not in the type (only regions could tell them apart) do not get
    /// each other's.
    #[inline]
    pub(super) fn get<M: 'static, T: Send + Sync + 'static>(
        &'static self,
        make: impl FnOnce() -> T,
    ) -> (&'static T, bool) {
        if let Some(slot) = self.first.get() {
            if let Some(Marked { table, .. }) = slot.table.downcast_ref::<Marked<M, T>>() {
                return (table, false);
            }
        }
        let id = TypeId::of::<Marked<M, T>>();
        let (slot, made) = self.search(id, || {
            let marker = PhantomData::<fn() -> M>;
            let table = make();
            Box::new(Marked { table, marker })
        });
        let Marked { table, .. } = slot
            .table
            .downcast_ref::<Marked<M, T>>()
            .expect("found by its type");
        (table, made)
    }

    #[cold]
    fn search(
        &'static self,
        id: TypeId,
        make: impl FnOnce() -> Box<dyn Any + Send + Sync>,
    ) -> (&'static Slot, bool) {
        let mut make = Some(make);
        let mut mine = None;
        let mut look = |place: &'static OnceCell<Slot>| {
            let (slot, made) = match place.get() {
                Some(slot) => (slot, false),
                None => {
                    let slot = mine.take().unwrap_or_else(|| {
                        let make = make.take().expect("a table is made once");
                        Slot { id, table: make() }
                    });
                    match place.try_insert(slot) {
                        Ok(slot) => (slot, true),
                        // Another thread was faster. Our table may be for another place.
                        Err((slot, lost)) => {
                            mine = Some(lost);
                            (slot, false)
                        }
                    }
                }
            };
            (slot.id == id).then_some((slot, made))
        };
        if let Some(found) = look(&self.first) {
            return found;
        }
        let hash = FixedState::with_seed(0).hash_one(id) as usize;
        let (mut level, mut places) = (&self.others, PLACES);
        loop {
            let Level {
                places: here,
                below,
            } = &**level.get_or_init(|| Level::new(places));
            for probe in 0..PROBED {
                if let Some(found) = look(&here[hash.wrapping_add(probe) % places]) {
                    return found;
                }
            }
            (level, places) = (below, places * 4);
        }
    }
}

impl Level {
    fn new(places: usize) -> Box<Self> {
        Box::new(Self {
            places: (0..places).map(|_| OnceCell::new()).collect(),
            below: OnceCell::new(),
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

    /// Calls a function with each of 5 × 5 × 5 × 5 types.
    macro_rules! instances {
        ($f:ident) => { instances!($f; [u8 u16 u32 u64 i8] [u8 u16 u32 u64 i8] [u8 u16 u32 u64 i8] [u8 u16 u32 u64 i8]) };
        ($f:ident; [$($a:ty)*] $b:tt $c:tt $d:tt) => { $(instances!($f; $a; $b $c $d);)* };
        ($f:ident; $a:ty; [$($b:ty)*] $c:tt $d:tt) => { $(instances!($f; $a, $b; $c $d);)* };
        ($f:ident; $a:ty, $b:ty; [$($c:ty)*] $d:tt) => { $(instances!($f; $a, $b, $c; $d);)* };
        ($f:ident; $a:ty, $b:ty, $c:ty; [$($d:ty)*]) => { $($f::<($a, $b, $c, $d)>();)* };
    }

    #[test]
    fn one_of_many_instances_is_found_after_a_few_looks() {
        static SLOTS: Slots = Slots::new();
        fn made<M: 'static>() {
            let (&id, made) = SLOTS.get::<M, _>(|| TypeId::of::<M>());
            assert!(made && id == TypeId::of::<M>());
        }
        fn found<M: 'static>() {
            let (&id, made) = SLOTS.get::<M, _>(|| -> TypeId { unreachable!("it is there") });
            assert!(!made && id == TypeId::of::<M>());
        }
        instances!(made);
        instances!(found);
        let (mut levels, mut level) = (0, SLOTS.others.get());
        while let Some(Level { below, .. }) = level.map(|level| &**level) {
            (levels, level) = (levels + 1, below.get());
        }
        // 16 + 64 + 256 + 1024 places for 624 tables. A list would have taken up to 625 looks.
        assert!(levels <= 5, "{levels} levels of {PROBED} looks each");
    }

    #[test]
    fn instances_that_are_made_at_the_same_time_are_made_once() {
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
        static SLOTS: Slots = Slots::new();
        static MADE: AtomicUsize = AtomicUsize::new(0);
        fn get<M: 'static>() {
            let (&id, made) = SLOTS.get::<M, _>(|| TypeId::of::<M>());
            assert_eq!(id, TypeId::of::<M>());
            MADE.fetch_add(usize::from(made), SeqCst);
        }
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    instances!(get);
                });
            }
        });
        assert_eq!(MADE.load(SeqCst), 625);
    }
}
