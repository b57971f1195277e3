//! Which flights a call joins: the options `max_age_ms`, `max_followers` and `busy`.

/// Which flights a call joins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Joining {
    pub(super) max_age_ms: Option<u64>,
    max_followers: Option<usize>,
    /// A call beyond them is refused.
    pub(super) refuses: bool,
}

impl Joining {
    /// Any flight with its key.
    pub const fn new() -> Self {
        Self {
            max_age_ms: None,
            max_followers: None,
            refuses: false,
        }
    }

    /// Only flights that began at most `ms` milliseconds ago.
    pub const fn max_age_ms(mut self, ms: u64) -> Self {
        self.max_age_ms = Some(ms);
        self
    }

    /// Only flights with fewer than `n` followers.
    pub const fn max_followers(mut self, n: usize) -> Self {
        self.max_followers = Some(n);
        self
    }

    /// A call that finds such a flight full is refused, and does not run the body itself.
    pub const fn or_busy(mut self) -> Self {
        self.refuses = true;
        self
    }

    /// The age, if there is one.
    #[cfg(feature = "fleet")]
    pub(crate) fn max_age(self) -> Option<std::time::Duration> {
        self.max_age_ms.map(std::time::Duration::from_millis)
    }

    /// Whether a flight is young enough; both in microseconds. Clocks are tokio's, so that a test with a paused clock decides
    /// how old a flight is. If that of the flight is ahead of the caller's, they are not the same clock, and nothing is known
    /// of the flight's age; unless it is by less than a call takes to get from the clock to the lock.
    #[inline]
    pub(super) fn joins(self, born: u64, now: u64) -> bool {
        const LATE: u64 = 1_000_000;
        self.max_age_ms.is_none_or(|ms| {
            now.saturating_sub(born) <= ms.saturating_mul(1000) && born.saturating_sub(now) <= LATE
        })
    }

    #[inline]
    pub(super) fn is_full(self, waiting: impl FnOnce() -> u32) -> bool {
        self.max_followers
            .is_some_and(|most| waiting() as usize >= most)
    }
}
