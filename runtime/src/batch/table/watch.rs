//! The watch: it looks at the groups, a few at a time.

use super::Table;
use crate::batch::shared::Batch;
use crate::batch::start::Start;
use crate::observe::Function;
use crate::wake::drop_guarded;
use crate::watch::{Actions, Budget, Pass, Stalled, Watch, Watched};

impl<K, T, U, B, R> Watched for Table<K, T, U, B, R>
where
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Start + Send + 'static,
    R: Send + 'static,
{
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
            let now = std::time::Instant::now();
            let (mut tasks, mut wake, mut stalled) = (Vec::new(), Vec::new(), Vec::new());
            let (mut places, mut spare) = (Vec::new(), None);
            let mut shard = shard.lock();
            let first = pass.at.unwrap_or(0);
            let last = shard.groups.num_buckets().min(first + LOOKS);
            if pass.at.is_none() {
                pass.any |= shard.idle.tick(&mut wake);
                if shard.groups.is_empty() {
                    spare = shard.spare.group.take();
                }
            }
            for bucket in first..last {
                if let Some(entry) = shard.groups.get_bucket_mut(bucket) {
                    budget.spend(Budget::GROUP);
                    let now = entry.clock.now(now);
                    entry
                        .group
                        .tick(now, &mut tasks, &mut places, &mut wake, &mut stalled);
                }
            }
            shard.counts.stalled += stalled.len() as u64;
            pass.at = Some(last);
            if last == shard.groups.num_buckets() {
                pass.next_shard(!shard.groups.is_empty());
            }
            drop(shard);
            drop_guarded(spare);
            for batch in &stalled {
                wake.append(&mut batch.observers());
            }
            actions.places.append(&mut places);
            actions.wake.append(&mut wake);
            actions.drop.append(&mut tasks);
            for batch in stalled {
                actions.stalled.push(batch);
            }
        }
        Some(pass.any)
    }

    fn is_quiet(&self) -> bool {
        self.shards.iter().all(|shard| {
            let shard = shard.lock();
            shard.groups.is_empty() && shard.idle.is_empty() && shard.spare.group.is_none()
        })
    }
}

impl<R: Send> Stalled for Batch<R> {
    fn warn(&self, function: &Function) {
        self.warned.stalled(function);
    }
}

/// How many buckets the watch looks at before it unlocks their shard for a moment. A group that moves to another bucket in such
/// a moment, because the table grows or shrinks, may be looked at twice in that pass, or not until the next.
const LOOKS: usize = 64;
