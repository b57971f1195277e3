//! The places in which the followers of a flight leave their wakers.
//!
//! A place is as large as a waker; taking and leaving one is O(1). All of this happens under the lock of a shard, where
//! other keys wait: so growing never moves more than one small chunk, and emptying moves none.

use std::collections::VecDeque;
use std::mem;
use std::num::NonZeroU32;

/// A follower's place. It is no longer there once the places were emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    epoch: u32,
    /// One more than its index.
    number: NonZeroU32,
}

/// Places that need no allocation of their own.
const FIRST: usize = 4;
/// Places of one chunk.
const CHUNK: usize = 256;
/// For how many of them there is room at first.
const ROOM: usize = 16;

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Places<W> {
    first: [Option<W>; FIRST],
    /// Chunks that are full, then the one that grows.
    full: Vec<Vec<Option<W>>>,
    last: Vec<Option<W>>,
    /// The number of places, taken or free.
    len: u32,
    /// In the order in which they became free, and so taken again: where callers leave in the order in which they came, as
    /// those with equal deadlines do, the places are a ring in the order of the callers.
    free: VecDeque<Slot>,
    /// The number of the place that was taken last.
    newest: u32,
    /// The number of times that the places were emptied.
    epoch: u32,
}

impl<W> Places<W> {
    pub(crate) fn new() -> Self {
        Self::of(0)
    }

    fn of(epoch: u32) -> Self {
        Self {
            first: [const { None }; FIRST],
            full: Vec::new(),
            last: Vec::new(),
            len: 0,
            free: VecDeque::new(),
            newest: 0,
            epoch,
        }
    }

    /// Takes a place.
    #[inline(always)]
    pub(crate) fn take(&mut self, waker: W) -> Slot {
        if !self.free.is_empty() {
            return self.take_again(waker);
        }
        let index = self.len as usize;
        self.len = self.len.checked_add(1).expect("fewer than 2^32 followers");
        match self.first.get_mut(index) {
            Some(place) => *place = Some(waker),
            None => {
                if self.last.len() == self.last.capacity() {
                    self.grow();
                }
                self.last.push(Some(waker));
            }
        }
        self.newest = self.len;
        Slot {
            epoch: self.epoch,
            number: NonZeroU32::new(self.len).expect("one was added"),
        }
    }

    #[cold]
    fn take_again(&mut self, waker: W) -> Slot {
        let slot = self.free.pop_front().expect("there is a free place");
        *self.place(slot) = Some(waker);
        self.newest = slot.number.get();
        slot
    }

    #[cold]
    fn grow(&mut self) {
        match self.last.len() {
            0 => self.last.reserve_exact(ROOM),
            CHUNK.. => {
                let next = Vec::with_capacity(CHUNK);
                self.full.push(mem::replace(&mut self.last, next));
            }
            len => self.last.reserve_exact(len),
        }
    }

    /// The waker in a place, if the place is still there.
    pub(crate) fn at(&mut self, slot: Slot) -> Option<&mut Option<W>> {
        (slot.epoch == self.epoch).then(|| self.place(slot))
    }

    fn place(&mut self, slot: Slot) -> &mut Option<W> {
        let index = slot.number.get() as usize - 1;
        match index.checked_sub(FIRST) {
            None => &mut self.first[index],
            Some(index) => match self.full.get_mut(index / CHUNK) {
                Some(chunk) => &mut chunk[index % CHUNK],
                None => &mut self.last[index % CHUNK],
            },
        }
    }

    /// Leaves a place. Returns the waker that was in it.
    pub(crate) fn leave(&mut self, slot: Slot) -> Option<W> {
        let waker = self.at(slot)?.take();
        self.free.push_back(slot);
        waker
    }

    /// Takes all wakers out. The slots that were given are no longer there.
    pub(crate) fn empty(&mut self) -> Self {
        let empty = Self::of(self.epoch.wrapping_add(1));
        mem::replace(self, empty)
    }

    /// Each waker that was left, in the order of the places.
    pub(crate) fn for_each(self, mut wake: impl FnMut(W)) {
        self.first.into_iter().flatten().for_each(&mut wake);
        for chunk in self.full.into_iter().chain([self.last]) {
            chunk.into_iter().flatten().for_each(&mut wake);
        }
    }

    /// Each waker that was left, from the newest on: exactly the newest first, and the others in the order of the ring.
    pub(crate) fn newest_first(self) -> impl Iterator<Item = W> {
        let newest = self.newest as usize;
        let mut ring: Vec<Option<W>> = Vec::with_capacity(self.len as usize);
        ring.extend(self.first);
        ring.truncate(self.len as usize);
        ring.extend(self.full.into_iter().flatten().chain(self.last));
        ring.rotate_left(newest);
        ring.into_iter().rev().flatten()
    }

    /// The same, in a list.
    #[cfg(test)]
    pub(super) fn into_vec(self) -> Vec<W> {
        let mut all = Vec::new();
        self.for_each(|waker| all.push(waker));
        all
    }

    /// The number of places, taken or free.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_places_hold_what_was_left_in_them() {
        let mut places = Places::new();
        let slots: Vec<_> = (0..2000).map(|waker| places.take(waker)).collect();
        for (waker, &slot) in (0..2000).zip(&slots) {
            assert_eq!(places.at(slot), Some(&mut Some(waker)));
        }
        for &slot in slots.iter().step_by(3) {
            assert!(places.leave(slot).is_some());
        }
        for waker in 3000..3000 + 667 {
            places.take(waker);
        }
        assert_eq!(places.len(), 2000, "places that were left are taken again");
        let mut all = places.into_vec();
        all.sort_unstable();
        let expected = (0..2000).filter(|waker| waker % 3 != 0).chain(3000..3667);
        assert!(all.into_iter().eq(expected));
    }

    #[test]
    fn room_doubles_up_to_a_chunk_and_then_chunks_are_added() {
        let (mut places, mut rooms) = (Places::new(), Vec::new());
        for waker in 0..FIRST + 3 * CHUNK {
            places.take(waker);
            rooms.push(places.last.capacity());
        }
        rooms.dedup();
        assert_eq!(rooms, [0, 16, 32, 64, 128, 256]);
        assert!(places.full.iter().all(|chunk| chunk.capacity() == CHUNK));
    }

    #[test]
    fn emptied_places_know_their_old_slots_no_more() {
        let mut places = Places::new();
        let old = places.take(1);
        assert_eq!(places.empty().into_vec(), [1]);
        assert_eq!(places.at(old), None);
        assert_eq!(places.leave(old), None);
        let new = places.take(2);
        assert_eq!(places.leave(old), None, "the same place, and another's");
        assert_eq!(places.at(new), Some(&mut Some(2)));
    }

    #[test]
    fn the_newest_is_first_and_a_ring_of_leavers_keeps_its_order() {
        for n in [1_u32, 3, 4, 5, 30, 1000] {
            let mut places = Places::new();
            let mut slots: VecDeque<_> = (0..n).map(|caller| places.take(caller)).collect();
            // Whoever came first leaves, and another comes.
            for caller in n..2 * n + n / 2 {
                let oldest = slots.pop_front().expect("there are n of them");
                assert_eq!(places.leave(oldest), Some(caller - n));
                slots.push_back(places.take(caller));
            }
            assert_eq!(places.len(), n as usize);
            let last = 2 * n + n / 2;
            let order: Vec<_> = places.empty().newest_first().collect();
            assert!(
                order.iter().copied().eq((last - n..last).rev()),
                "{order:?}"
            );
        }
        // In no particular order, but the newest is the first, and all are there.
        let mut places = Places::new();
        let slots: Vec<_> = (0..10).map(|caller| places.take(caller)).collect();
        for at in [7, 2, 5] {
            places.leave(slots[at]);
        }
        places.take(10);
        places.take(11);
        let mut order: Vec<_> = places.empty().newest_first().collect();
        assert_eq!(order[0], 11);
        order.sort_unstable();
        assert_eq!(order, [0, 1, 3, 4, 6, 8, 9, 10, 11]);
    }

    #[test]
    fn a_place_is_as_large_as_a_waker() {
        assert_eq!(size_of::<Option<std::task::Waker>>(), 16);
        assert_eq!(size_of::<Option<Slot>>(), 8);
    }
}
