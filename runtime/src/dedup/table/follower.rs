//! A follower waits, takes a vacancy, or leaves.

use std::task::{Context, Waker};

use super::{Table, wake};
use crate::batch::inherit;
use crate::dedup::flight::Flight;
use crate::dedup::places::Slot;
use crate::dedup::state::{Body, Followed};
use crate::wake::discard;

impl<K, V> Table<K, V> {
    /// A follower is polled for the first time: where there is a leader, it waits. If not, [`follow`](Self::follow) knows.
    #[inline]
    pub(crate) fn wait(&self, flight: &Flight<V>, cx: &mut Context<'_>) -> Option<Slot> {
        let waker = cx.waker().clone();
        let mut shard = self.shard(flight.hash).lock();
        let waits = match shard.state(flight) {
            Some(state) => state.wait(waker),
            None => Err(waker),
        };
        drop(shard);
        waits.map_err(|waker| discard(Some(waker))).ok()
    }

    /// A follower is polled.
    #[inline(never)]
    pub(crate) fn follow(
        &self,
        flight: &Flight<V>,
        slot: Option<Slot>,
        body: Body,
        cx: &mut Context<'_>,
    ) -> Followed<Waker> {
        let mut waker = None;
        loop {
            let mut shard = self.shard(flight.hash).lock();
            let followed = match shard.state(flight) {
                Some(state) => {
                    state.follow(slot, body, |old| old.will_wake(cx.waker()), &mut waker)
                }
                None => Some(Followed::Landed),
            };
            if let Some(Followed::Leads(_)) = followed {
                shard.unshared += 1;
            }
            drop(shard);
            match followed {
                Some(followed) => {
                    discard(waker);
                    return followed;
                }
                None => waker = Some(cx.waker().clone()),
            }
        }
    }
}

impl<K, V> Table<K, V> {
    /// A caller that waits goes. `given` says that it has given its body to a task.
    pub(crate) fn follower_leaves(&self, flight: &Flight<V>, slot: Option<Slot>, given: bool) {
        let mut guard = self.shard(flight.hash).lock();
        let shard = &mut *guard;
        shard.unshared += u64::from(!given);
        let Some(state) = shard.state(flight) else {
            return;
        };
        let waker = state.leave(slot, given);
        if state.is_abandoned() {
            let abandoned = shard.remove(flight);
            drop(guard);
            if let Some(entry) = abandoned {
                entry.abandon();
            }
            inherit::forget(self.execution(flight.id));
        } else if state.is_lost() {
            let others = state.all_lost();
            drop(guard);
            wake(others);
        } else {
            drop(guard);
        }
        discard(waker);
    }
}
