//! The watch looks for leaders that are not polled although they could go on.

use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;

use super::{Entry, Form, Shard, Table};
use crate::dedup::places::Places;
use crate::dedup::state::Tick;
use crate::observe::Function;
use crate::reentrancy::frames;
use crate::watch::{Actions, Budget, Pass, Watch, Watched};

/// The number of flights that the watch looks at before it unlocks their shard for a moment.
const LOOKS: usize = 32;

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Watched for Table<K, V> {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn function(&self) -> &Function {
        &self.function
    }

    fn look(&self, pass: &mut Pass, budget: &mut Budget, actions: &mut Actions) -> Option<bool> {
        while let Some(shard) = self.shards.get(pass.shard) {
            if budget.is_spent() {
                return None;
            }
            let mut deposed = Vec::new();
            let mut shard = shard.lock();
            // Flights that get their first follower meanwhile are behind these, and for the next pass.
            let left = pass.at.unwrap_or(usize::MAX).min(shard.followed.len());
            let looks = left.min(LOOKS);
            for _ in 0..looks {
                self.look_at_next(&mut shard, budget, actions, &mut deposed);
            }
            pass.at = Some(left - looks);
            if left == looks {
                pass.next_shard(!shard.followed.is_empty());
            }
            drop(shard);
            for followers in deposed {
                actions.wake.extend(followers.newest_first());
            }
        }
        Some(pass.any)
    }

    fn is_quiet(&self) -> bool {
        let mut shards = self.shards.iter();
        shards.all(|shard| shard.lock().followed.is_empty())
    }
}

impl<K, V: Send + Sync + 'static> Table<K, V> {
    /// Looks for a stalled leader: of the flight that was not looked at for the longest time.
    fn look_at_next(
        &self,
        shard: &mut Shard<K, V>,
        budget: &mut Budget,
        actions: &mut Actions,
        deposed: &mut Vec<Places<Waker>>,
    ) {
        let Some((hash, id)) = shard.followed.pop_front() else {
            return;
        };
        budget.spend(Budget::FLIGHT);
        let Some(Entry {
            flight: Form::Shared(flight, state),
            ..
        }) = shard.entries.find_mut(hash, |entry| entry.id == id)
        else {
            // It has landed.
            return;
        };
        match state.tick(|| frames::polled_anywhere(self.execution(id))) {
            Tick::Nothing => {}
            Tick::Long => actions.long.push(flight.clone()),
            Tick::Prod(leader) => {
                budget.spend(Budget::PROD);
                actions.wake.push(leader);
            }
            Tick::Deposed { followers, leader } => {
                self.rare.stalled.fetch_add(1, Relaxed);
                deposed.push(followers);
                actions.drop.extend(leader);
                actions.stalled.push(flight.clone());
            }
        }
        shard.followed.push_back((hash, id));
    }
}
