//! The watch: it finds batches whose tasks do not run although they could.

use tokio::time::Instant;

use super::Group;
use super::queued::{ORPHAN_AFTER, Queued};
use crate::batch::start::{Permit, Start};

/// How often the number of ticks after which a batch is orphaned is doubled at most.
const MOST_STALLS: u16 = 8;

impl<T, U: Eq, B: Start, W, C: Clone> Group<T, U, B, W, C> {
    /// The watch ticks. Adds tasks' wakers and places in queues for permits, to be dropped, wakers to be woken, and batches that
    /// are orphaned now.
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        tasks: &mut Vec<W>,
        places: &mut Vec<Box<dyn Send>>,
        wake: &mut Vec<W>,
        stalled: &mut Vec<C>,
    ) {
        let slots = self.slots();
        let mut orphans = Vec::new();
        let mut look = |batch: &mut Queued<T, B, W, C>| {
            batch.fresh = None;
            if batch.orphaned {
                batch.ready_for = batch.ready_for.saturating_add(1);
                self.unadopted |= batch.is_unadopted();
                return;
            }
            let ready = slots.ready(batch, now).is_some()
                && (batch.urgent || batch.bulk.permit() != Permit::Waits);
            batch.ready_for = if ready { batch.ready_for + 1 } else { 0 };
            if batch.ready_for == ORPHAN_AFTER << batch.stalls {
                batch.stalls = (batch.stalls + 1).min(MOST_STALLS);
                tasks.extend(batch.task.take());
                stalled.push(batch.shared.clone());
                orphans.push((batch.id, batch.turn));
            }
        };
        for (_, batch) in &mut self.line {
            if let Some(batch) = batch {
                look(batch);
            }
        }
        for batch in self.aside.all_mut() {
            look(batch);
        }
        if let Some(open) = &mut self.open {
            look(open);
        }
        for (id, turn) in orphans {
            let mut orphaned = self.orphan(id, turn);
            wake.append(&mut orphaned.wake);
            places.extend(orphaned.place);
        }
        if self.unadopted {
            // Callers of blocked batches, which may have to wait for an unadopted one, adopt it. The newest caller is the most likely
            // to be polled. Each tick wakes one more.
            for batch in self.aside.all_mut().iter_mut().chain(&mut self.open) {
                if batch.blocked > 0 && !batch.orphaned {
                    wake.extend(batch.last_waker());
                }
            }
        }
    }
}
