//! The leader of a flight goes on waiting, has a result, or leaves.

use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Waker};

use super::{Entry, Following, Form, Table, wake_newest_first};
use crate::batch::inherit;
use crate::dedup::flight::{Flight, Outcome};
use crate::dedup::state::{Deposed, Rest, Term, Wakers};
use crate::observe::Trace;
use crate::sharing::Share;
use crate::sync::{Arc, Mutex};
use crate::wake::discard;

/// The state of a flight whose leader was alone and goes on waiting.
pub(crate) enum Rested<V> {
    Lone,
    Shared(Arc<Flight<V>>),
    /// It was deposed, and its successor has landed.
    Gone,
}

/// A landed flight, from its leader's view.
pub(crate) enum Landed<V, O> {
    /// No other caller gets this result: none waited, or this leader was deposed.
    Alone(O),
    /// This many other callers did.
    Shared(Arc<Flight<V>>, u32),
}

/// The ways in which a leader leaves.
enum Left<K, V> {
    /// Other callers wait, and are offered the vacancy.
    Vacant(Wakers<Waker>),
    /// No other caller waits: the entry is gone. The second is the leader's waker, if it had followers once.
    Abandoned(Entry<K, V>, Option<Waker>),
    /// It was deposed before, so there was nothing to leave.
    Deposed,
}

impl<K, V> Table<K, V> {
    /// A leader that was alone when it was last here goes on waiting. `first` says that it was never here.
    pub(crate) fn rest_alone(
        &self,
        hash: u64,
        id: u64,
        first: bool,
        cx: &mut Context<'_>,
    ) -> Rested<V> {
        let mut waker = first.then(|| cx.waker().clone());
        loop {
            let mut shard = self.shard(hash).lock();
            let Some(entry) = shard.entries.find_mut(hash, |entry| entry.id == id) else {
                return Rested::Gone;
            };
            match &mut entry.flight {
                Form::Shared(flight, _) => {
                    let flight = flight.clone();
                    drop(shard);
                    discard(waker);
                    return Rested::Shared(flight);
                }
                Form::Lone(Some(old)) if old.will_wake(cx.waker()) => return Rested::Lone,
                Form::Lone(old) => {
                    if let Some(waker) = waker.take() {
                        let old = old.replace(waker);
                        drop(shard);
                        discard(old);
                        return Rested::Lone;
                    }
                }
            }
            drop(shard);
            waker = Some(cx.waker().clone());
        }
    }

    /// The leader of a flight goes on waiting.
    pub(crate) fn rest(
        &self,
        flight: &Flight<V>,
        term: Term,
        cx: &mut Context<'_>,
    ) -> Result<(), Deposed> {
        let mut waker = None;
        loop {
            let mut shard = self.shard(flight.hash).lock();
            let state = shard.state(flight).ok_or(Deposed)?;
            let rest = state.rest(term, |old| old.will_wake(cx.waker()), &mut waker)?;
            drop(shard);
            match rest {
                Rest::Done(old) => {
                    discard(old);
                    return Ok(());
                }
                Rest::NeedsWaker => waker = Some(cx.waker().clone()),
            }
        }
    }

    /// The opener of a flight gives it to a task, and follows. `None`: it was stalled in between, and its successor has
    /// landed.
    pub(crate) fn share(&self, hash: u64, id: u64) -> Option<Following<V>> {
        let mut guard = self.shard(hash).lock();
        let shard = &mut *guard;
        let mut found = shard
            .entries
            .find_entry(hash, |entry| entry.id == id)
            .ok()?;
        let bucket = found.bucket_index() as u32;
        let (flight, state, first) = found.get_mut().shared(bucket, &mut shard.followed);
        state.give_to_task();
        let flight = flight.clone();
        Some(Following { flight, first })
    }

    /// A leader that was alone when it was last here has a result. Returns whether it still was, and is gone now; if not,
    /// [`land`](Self::land) knows.
    #[inline]
    pub(crate) fn lands_alone(&self, hash: u64, id: u64, bucket: u32) -> bool {
        let mut guard = self.shard(hash).lock();
        let shard = &mut *guard;
        // It is where it was put, unless the table has grown or shrunk since.
        match shard.entries.get_bucket_entry(bucket as usize) {
            Ok(found) if found.get().id == id && matches!(found.get().flight, Form::Lone(_)) => {
                let entry = found.remove().0;
                shard.removed(hash, id);
                drop(guard);
                entry.discard();
                true
            }
            _ => false,
        }
    }

    /// The leader has a result.
    pub(crate) fn land<S: Share<Stored = V>>(
        &self,
        hash: u64,
        id: u64,
        term: Term,
        output: S::Output,
    ) -> Landed<V, S::Output> {
        self.end(hash, id, term, output, |output, _| {
            Outcome::Value(S::store(output))
        })
    }

    /// A task has a result. A single caller gets the original. Returns how many it serves.
    pub(crate) fn land_task<O>(
        &self,
        flight: &Flight<V>,
        term: Term,
        output: O,
        store: fn(O) -> V,
    ) -> u32 {
        let landed = self.end(flight.hash, flight.id, term, output, |output, sole| {
            let value = store(output);
            if sole {
                Outcome::Sole(Mutex::new(Some(value)))
            } else {
                Outcome::Value(value)
            }
        });
        match landed {
            Landed::Alone(_) => 0,
            Landed::Shared(_, waiting) => waiting,
        }
    }

    /// The body panicked. Returns how many others it was to serve.
    pub(crate) fn land_panic(
        &self,
        hash: u64,
        id: u64,
        term: Term,
        message: &str,
        trace: &Trace,
    ) -> u32 {
        self.rare.panics.fetch_add(1, Relaxed);
        let landed = self.end(hash, id, term, message, |message, _| {
            Outcome::Panic(message.into())
        });
        // The panic has dropped the body, which may have left its place in a batch to a leader that never comes.
        inherit::forget(self.execution(id));
        match landed {
            Landed::Alone(_) => 0,
            Landed::Shared(flight, waiting) => {
                trace.serves(&flight.callers);
                waiting
            }
        }
    }

    /// The key leaves the map, then the outcome is published, then all callers are woken.
    fn end<O>(
        &self,
        hash: u64,
        id: u64,
        term: Term,
        output: O,
        outcome: impl FnOnce(O, bool) -> Outcome<V>,
    ) -> Landed<V, O> {
        let mut guard = self.shard(hash).lock();
        let shard = &mut *guard;
        let Ok(mut found) = shard.entries.find_entry(hash, |entry| entry.id == id) else {
            // A deposed leader, and its successor has landed.
            return Landed::Alone(output);
        };
        let (flight, waiting) = match &mut found.get_mut().flight {
            Form::Lone(_) => (None, 0),
            Form::Shared(flight, state) => {
                if !state.leads(term) {
                    return Landed::Alone(output);
                }
                (Some(flight.clone()), state.waiting())
            }
        };
        let entry = found.remove().0;
        shard.removed(hash, id);
        let landed = match flight.filter(|_| waiting > 0) {
            Some(flight) => {
                flight.publish(outcome(output, waiting == 1));
                Landed::Shared(flight, waiting)
            }
            None => Landed::Alone(output),
        };
        drop(guard);
        entry.discard();
        landed
    }
}

impl<K, V> Table<K, V> {
    /// The leader leaves without a result; `begun` says whether its body has. Returns whether other callers wait for a result.
    pub(crate) fn leader_leaves(&self, hash: u64, id: u64, term: Term, begun: bool) -> bool {
        let left = self.vacate(hash, id, term);
        let is_vacant = matches!(left, Left::Vacant(_));
        match left {
            Left::Vacant(wakers) => {
                self.rare.left.fetch_add(u64::from(begun), Relaxed);
                discard(wakers.leader);
                wake_newest_first(wakers.followers);
            }
            Left::Abandoned(entry, leader) => {
                entry.discard();
                discard(leader);
            }
            Left::Deposed => {}
        }
        if !is_vacant {
            // No leader comes after this one that could go on with its place in a batch.
            inherit::forget(self.execution(id));
        }
        is_vacant
    }

    fn vacate(&self, hash: u64, id: u64, term: Term) -> Left<K, V> {
        let mut guard = self.shard(hash).lock();
        let shard = &mut *guard;
        let Ok(mut found) = shard.entries.find_entry(hash, |entry| entry.id == id) else {
            return Left::Deposed;
        };
        let leader = match &mut found.get_mut().flight {
            Form::Lone(_) => None,
            Form::Shared(_, state) => match state.vacate(term) {
                Err(Deposed) => return Left::Deposed,
                Ok(wakers) if !state.is_abandoned() => return Left::Vacant(wakers),
                Ok(wakers) => wakers.leader,
            },
        };
        let entry = found.remove().0;
        shard.removed(hash, id);
        Left::Abandoned(entry, leader)
    }

    /// A task is polled: whether it leads no more, and has to end.
    pub(crate) fn retires(&self, flight: &Flight<V>, term: Term) -> bool {
        let mut shard = self.shard(flight.hash).lock();
        shard.state(flight).is_none_or(|state| !state.leads(term))
    }
}
