//! What the calls of a fleet did.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::machine::Why;

/// What became of a call. A call that led counts as alone, too, if it then lost its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran the body for the fleet; perhaps after another process that came to nothing.
    Led { taken_over: bool },
    /// It returned another process's result.
    Followed,
    /// Its key or its result can't travel.
    Unshareable,
    /// It ran the body for this process alone.
    Alone(Why),
}

impl Outcome {
    /// As metrics and spans say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Led { taken_over: false } => "led",
            Self::Led { taken_over: true } => "taken_over",
            Self::Followed => "followed",
            Self::Unshareable => "unshareable",
            Self::Alone(Why::Silent) => "away",
            Self::Alone(Why::Mine) => "same_process",
            Self::Alone(Why::NoValue) => "no_value",
            Self::Alone(Why::Patience) => "patience",
            Self::Alone(Why::Lost) => "lease_lost",
            Self::Alone(Why::Closed) => "closed",
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    led: AtomicU64,
    followed: AtomicU64,
    taken_over: AtomicU64,
    unencodable: AtomicU64,
    silent: AtomicU64,
    mine: AtomicU64,
    no_value: AtomicU64,
    patience: AtomicU64,
    lost: AtomicU64,
    closed: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Led { taken_over } => {
                if taken_over {
                    self.taken_over.fetch_add(1, Relaxed);
                }
                &self.led
            }
            Outcome::Followed => &self.followed,
            Outcome::Unshareable => &self.unencodable,
            Outcome::Alone(why) => match why {
                Why::Silent => &self.silent,
                Why::Mine => &self.mine,
                Why::NoValue => &self.no_value,
                Why::Patience => &self.patience,
                Why::Lost => &self.lost,
                Why::Closed => &self.closed,
            },
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn stats(&self, up: bool) -> FleetStats {
        FleetStats {
            up,
            led: self.led.load(Relaxed),
            followed: self.followed.load(Relaxed),
            taken_over: self.taken_over.load(Relaxed),
            unshareable: self.unencodable.load(Relaxed),
            away: self.silent.load(Relaxed),
            same_process: self.mine.load(Relaxed),
            no_value: self.no_value.load(Relaxed),
            patience: self.patience.load(Relaxed),
            lease_lost: self.lost.load(Relaxed),
            closed: self.closed.load(Relaxed),
        }
    }
}

/// What the calls of a [`Fleet`](super::Fleet) did so far, in this process. Its `Display` is one line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetStats {
    /// The store can be reached now. In a [`Row`](crate::Row): it could when the function was last called.
    pub up: bool,
    /// Calls that ran the body for the fleet. A call that led and then lost its lease also counts in `lease_lost`.
    pub led: u64,
    /// Calls that returned the result of another process. If this stays 0, the builds or the keys of the processes differ.
    pub followed: u64,
    /// Calls among `led` that first waited for another process, which ended without a result or was lost.
    pub taken_over: u64,
    /// Calls whose key was too long, or whose key or result could not be encoded, or was too large.
    pub unshareable: u64,
    /// Calls that ran the body for this process alone because the store was not reachable, did not answer in
    /// time, or the hash of the executable was not known yet.
    pub away: u64,
    /// The same, because another call of this process was leading.
    pub same_process: u64,
    /// The same, because the execution they waited for had no result to share (an `Err`, a panic, a value that was too large),
    /// or its result could not be decoded.
    pub no_value: u64,
    /// The same, because they had waited for the length of `patience`. Raise it if bodies take longer; otherwise something hangs.
    pub patience: u64,
    /// Calls that led, but were not polled for the length of their lease, so that another process took over.
    pub lease_lost: u64,
    /// Calls that ran the body for this process alone because the fleet was closed.
    pub closed: u64,
}

impl FleetStats {
    /// Adds those of another scope or monomorphisation.
    pub(crate) fn merge(&mut self, other: &Self) {
        let Self {
            up,
            led,
            followed,
            taken_over,
            unshareable,
            away,
            same_process,
            no_value,
            patience,
            lease_lost,
            closed,
        } = self;
        *up |= other.up;
        *led += other.led;
        *followed += other.followed;
        *taken_over += other.taken_over;
        *unshareable += other.unshareable;
        *away += other.away;
        *same_process += other.same_process;
        *no_value += other.no_value;
        *patience += other.patience;
        *lease_lost += other.lease_lost;
        *closed += other.closed;
    }
}

impl fmt::Display for FleetStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            up,
            led,
            followed,
            taken_over,
            unshareable,
            away,
            same_process,
            no_value,
            patience,
            lease_lost,
            closed,
        } = self;
        let state = if *up { "up" } else { "away" };
        write!(
            f,
            "{state}: led {led} (taken over {taken_over}, lease lost {lease_lost}), followed {followed}, unshareable {unshareable}, \
             alone: away {away}, same process {same_process}, no value {no_value}, patience {patience}, closed {closed}"
        )
    }
}
