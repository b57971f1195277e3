//! When batches are due.

use tokio::time::Instant;

use crate::batch::group::Turn;
use crate::watch::STALL;

/// The clock by which the batches of a group are due.
///
/// It is tokio's clock on the runtime of the call that opened the last batch. A paused clock may be ahead of the real time or
/// behind it. The watch is on no runtime, so it can't read that clock: it takes the time at which the batch was opened, and adds
/// the real time since the watch first saw the batch.
#[derive(Debug)]
pub(super) struct Clock {
    opened: Instant,
    seen: Option<std::time::Instant>,
}

impl Clock {
    /// The clock of a batch that opens at this time.
    pub(super) fn of(opened: Instant) -> Self {
        Self { opened, seen: None }
    }

    /// The time on it, if it is not paused; `now` is the real time.
    pub(super) fn now(&mut self, now: std::time::Instant) -> Instant {
        let opened = self.opened;
        let seen = *self.seen.get_or_insert_with(|| {
            // A clock that is not paused shows how long ago the batch opened. A clock that is off by more than two ticks is paused.
            let ago = now.checked_duration_since(opened.into_std());
            let ago = ago.filter(|&ago| ago <= 2 * STALL);
            now.checked_sub(ago.unwrap_or_default()).unwrap_or(now)
        });
        opened + now.saturating_duration_since(seen)
    }

    /// The time on it for a task. The first task of a batch is on the runtime that opened the batch. A later task, which has
    /// adopted the batch, may have another clock that is far behind: then the batch is due when the watch says so.
    pub(super) fn of_task(&mut self, turn: Turn) -> Instant {
        let now = Instant::now();
        match turn {
            0 => now,
            _ => now.max(self.now(std::time::Instant::now())),
        }
    }
}
