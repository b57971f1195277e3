//! When batches are due.

use tokio::time::Instant;

use crate::batch::group::Turn;
use crate::watch::STALL;

/// The clock by which the batches of a group are due.
///
/// It is tokio's, as the runtime of the call that opened the last batch has it. That clock may be paused, and then be ahead of
/// the real time or behind it. The watch has no runtime and so can't ask that clock. It knows what it was when the batch was
/// opened, and adds the real time since it first saw the batch.
#[derive(Debug)]
pub(super) struct Clock {
    opened: Instant,
    seen: Option<std::time::Instant>,
}

impl Clock {
    /// What a batch that is opened finds on its clock.
    pub(super) fn of(opened: Instant) -> Self {
        Self { opened, seen: None }
    }

    /// What it is now, if it is not paused; `now` is the real time.
    pub(super) fn now(&mut self, now: std::time::Instant) -> Instant {
        let opened = self.opened;
        let seen = *self.seen.get_or_insert_with(|| {
            // A real clock says how long ago that was. One that disagrees by more than a pass or two is paused.
            let ago = now.checked_duration_since(opened.into_std());
            let ago = ago.filter(|&ago| ago <= 2 * STALL);
            now.checked_sub(ago.unwrap_or_default()).unwrap_or(now)
        });
        opened + now.saturating_duration_since(seen)
    }

    /// What it is for a task. The first task of a batch is where the batch was opened. One that has adopted it may be on
    /// another clock, which may be far behind: then the batch is due when the watch thinks so.
    pub(super) fn of_task(&mut self, turn: Turn) -> Instant {
        let now = Instant::now();
        match turn {
            0 => now,
            _ => now.max(self.now(std::time::Instant::now())),
        }
    }
}
