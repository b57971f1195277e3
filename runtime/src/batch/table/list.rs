//! Callers that join with a list of items: all of the items get places, or none.

use std::hash::Hash;
use std::task::Waker;
use std::vec;

use super::join::{Leftover, Needs, Opens, Seated};
use super::{Entry, Table};
use crate::batch::group::{Added, Coming, Id};
use crate::batch::item::Item;
use crate::batch::start::Start;
use crate::key::Key;
use crate::wake::{discard, drop_guarded};

/// A list whose items get their places one after another.
struct List<'a, T, U> {
    all: usize,
    /// The next item, if it has come back because there was no room.
    next: Option<Coming<T, U, Waker>>,
    others: vec::IntoIter<Coming<T, U, Waker>>,
    waker: &'a Waker,
    /// The batch of the last item that has a place.
    last: Option<Id>,
}

impl<T, U> List<'_, T, U> {
    fn len(&self) -> usize {
        self.others.len() + usize::from(self.next.is_some())
    }

    fn next(&mut self) -> Option<Coming<T, U, Waker>> {
        self.next.take().or_else(|| self.others.next())
    }
}

/// What happened to a list under one lock.
enum Filled {
    All,
    /// The next item needs a new batch.
    NoRoom {
        room: usize,
        is_new: bool,
    },
    Refused,
}

/// The places that items have got under one lock.
struct Places<R, U> {
    /// Only the first item of a list in a batch has a waker, and at most one batch is open under one lock.
    waker: Option<Waker>,
    seated: Vec<Seated<R>>,
    leftovers: Vec<Leftover<U>>,
}

impl<R, U> Places<R, U> {
    fn new(waker: Option<Waker>) -> Self {
        Self {
            waker,
            seated: Vec::new(),
            leftovers: Vec::new(),
        }
    }

    /// After unlocking: does what is left to do, and passes the seats on.
    fn finish(self, seated: &mut impl FnMut(Seated<R>)) {
        self.leftovers.into_iter().for_each(Leftover::finish);
        discard(self.waker);
        self.seated.into_iter().for_each(seated);
    }
}

impl<K, T, U: Eq, B: Start, R> Table<K, T, U, B, R> {
    /// Gives places to all items of a list, in as many batches as they need, or to none. The items that fit in one batch get
    /// their places under one lock, so that its task can't start with some of them. Returns whether they have places.
    pub(crate) fn join_many(
        &self,
        waker: &Waker,
        key: &impl Key<Owned = K>,
        items: Vec<Item<T, U>>,
        max_waiting: usize,
        mut open: impl FnMut() -> Opens<B>,
        mut seated: impl FnMut(Seated<R>),
    ) -> bool
    where
        U: Hash,
    {
        let hash = self.hash(key);
        // Before the lock is taken, since the `Hash` of unique values is user code.
        let coming = items.into_iter().map(|item| self.coming(item, None));
        let mut list = List {
            all: coming.len(),
            next: None,
            others: coming.collect::<Vec<_>>().into_iter(),
            waker,
            last: None,
        };
        while list.len() > 0 {
            let (room, is_new) = match self.fill(hash, key, &mut list, max_waiting, &mut seated) {
                Filled::All => break,
                Filled::NoRoom { room, is_new } => (room, is_new),
                Filled::Refused => {
                    list.others.for_each(drop_guarded);
                    return false;
                }
            };
            let needs = Needs {
                room: room.max(list.len()),
                key: (is_new && !key.is_little()).then(|| key.to_owned()),
            };
            let mut coming = list.next().expect("it needs a batch");
            coming.waker = Some(waker.clone());
            // The first item has the waker.
            let mut places = Places::new(None);
            let fill = |entry: &mut Entry<K, T, U, B, R>, first: &Seated<R>| {
                list.last = Some(first.batch.id);
                entry.seat_list(self.address(), &mut list, &mut places);
                places.seated.len() as u64
            };
            let place = self.open(hash, key, coming, usize::MAX, open(), needs, fill);
            let place = place.expect("without a limit, there is a place");
            list.last = Some(place.batch.id);
            seated(place);
            places.finish(&mut seated);
        }
        true
    }

    /// Gives places in the open batch to as many items of a list as have room there.
    fn fill(
        &self,
        hash: u64,
        key: &impl Key<Owned = K>,
        list: &mut List<'_, T, U>,
        max_waiting: usize,
        seated: &mut impl FnMut(Seated<R>),
    ) -> Filled {
        let mut places = Places::new(Some(list.waker.clone()));
        let mut guard = self.shard(hash).lock();
        let shard = &mut *guard;
        let found = shard
            .groups
            .find_mut(hash, |entry| entry.hash == hash && key.is(&entry.key));
        let filled = match found {
            None => Filled::NoRoom {
                room: 0,
                is_new: true,
            },
            // If the first items of a list have places already, the others must not be refused.
            Some(entry)
                if list.last.is_none()
                    && entry.group.waiting().saturating_add(list.all) > max_waiting =>
            {
                shard.counts.refuse(list.all);
                Filled::Refused
            }
            Some(entry) => entry.seat_list(self.address(), list, &mut places),
        };
        // The item that has no room is counted here, too: its batch is opened next.
        let opens = matches!(filled, Filled::NoRoom { .. });
        shard.counts.calls += places.seated.len() as u64 + u64::from(opens);
        drop(guard);
        places.finish(seated);
        filled
    }
}

impl<K, T, U: Eq, B: Start, R> Entry<K, T, U, B, R> {
    fn seat_list(
        &mut self,
        table: usize,
        list: &mut List<'_, T, U>,
        places: &mut Places<R, U>,
    ) -> Filled {
        while let Some(mut coming) = list.next() {
            if list.last.is_none_or(|last| !self.group.is_open(last)) {
                coming.waker = places.waker.take();
            }
            match self.group.add(coming, None) {
                Added::Placed(placed) => {
                    let (seated, leftover) = self.seat(table, placed);
                    list.last = Some(seated.batch.id);
                    places.seated.push(seated);
                    places.leftovers.push(leftover);
                }
                Added::NoRoom { coming, wake } => {
                    let unique = None;
                    places.leftovers.push(Leftover { wake, unique });
                    list.next = Some(coming);
                    let room = self.group.room();
                    return Filled::NoRoom {
                        room,
                        is_new: false,
                    };
                }
            }
        }
        Filled::All
    }
}
