//! Spans (feature `tracing`) and metrics (feature `metrics`) of executions.
//!
//! Each feature has two files with the same names in them: one that does the work, and one in which everything has size zero
//! and does nothing. A [`Trace`] belongs to one run of a body or one bulk call.
//!
//! A [`Caller`] is noted under the lock under which it joins, so that the end of the execution finds all callers. It is
//! removed when it leaves, so that no span stays open for an execution that its call does not wait for. Spans are user
//! code: under a lock they are moved, but never made, cloned or dropped.

#[cfg_attr(not(feature = "metrics"), path = "no_meters.rs")]
mod meters;
#[cfg_attr(not(feature = "tracing"), path = "no_spans.rs")]
mod spans;

use std::borrow::Cow;
use std::ops::Deref;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use self::meters::Began;
use self::meters::{Gauge, Metrics, Times, Waiting};
#[cfg(all(feature = "metrics", feature = "fleet"))]
pub(crate) use self::meters::{METADATA, record};
pub(crate) use self::spans::{Caller, Callers, Noted, Warned};
use self::spans::{CallerList, ExecutionSpan};

/// The name of a function, and its metrics.
#[derive(Debug)]
pub(crate) struct Function {
    path: Cow<'static, str>,
    metrics: Metrics,
}

/// Which attribute a function has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Dedup,
    Batch,
}

/// The end of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Returned,
    Panicked,
    /// A bulk call gave another number of results than it got items.
    WrongNumber,
}

impl Function {
    pub(crate) fn new(path: Cow<'static, str>, kind: Kind) -> Self {
        Self {
            metrics: Metrics::new(&path, kind),
            path,
        }
    }

    pub(crate) fn path(&self) -> &Cow<'static, str> {
        &self.path
    }

    /// A call has begun.
    #[inline]
    pub(crate) fn called(&self) {
        self.metrics.called();
    }

    /// A call got the error of `busy`.
    #[cold]
    pub(crate) fn refused(&self) {
        spans::refused(self);
        self.metrics.refused();
    }

    /// An execution did this in a fleet. Its span is current, if it has one.
    #[cfg(feature = "fleet")]
    pub(crate) fn in_fleet(&self, outcome: crate::fleet::Outcome) {
        self.metrics.in_fleet(outcome.name());
        spans::in_fleet(outcome.name());
    }

    /// Callers were served by another call's execution.
    #[inline]
    pub(crate) fn shared(&self, callers: u64) {
        self.metrics.shared(callers);
    }

    /// The execution of a call begins.
    #[inline]
    pub(crate) fn begins(&self, call: Began) {
        self.metrics.begins(call);
    }

    /// A body is about to run for the call that is made here.
    #[inline]
    pub(crate) fn execution(&self) -> Trace {
        Trace {
            span: ExecutionSpan::dedup(self),
            gauge: self.metrics.executes(),
            waiting: Waiting::NONE,
        }
    }

    /// A bulk call begins. `waited` says for how long it waited for a permit, if it needs one.
    #[inline]
    pub(crate) fn bulk(
        &self,
        calls: Calls,
        items: u64,
        closed: &'static str,
        waited: Option<Duration>,
    ) -> Trace {
        self.metrics.batch_size(items);
        self.metrics.shared(items.saturating_sub(1));
        self.metrics.all_begin(calls.times);
        if let Some(waited) = waited {
            self.metrics.waited_for_permit(waited);
        }
        Trace {
            span: ExecutionSpan::batch(self, calls.callers, items, closed, waited),
            gauge: self.metrics.executes(),
            waiting: Waiting::NONE,
        }
    }
}

impl Deref for Function {
    type Target = str;
    fn deref(&self) -> &str {
        &self.path
    }
}

/// The span and the gauge of one run of a body, or of one bulk call. The execution ends when [`ends`](Self::ends) is called, or when it
/// is dropped.
#[derive(Debug)]
pub(crate) struct Trace {
    span: ExecutionSpan,
    gauge: Gauge,
    /// When the call began, until its execution does.
    waiting: Waiting,
}

impl Trace {
    /// The trace of a call that runs nothing.
    pub(crate) const NONE: Self = Self {
        span: ExecutionSpan::NONE,
        gauge: Gauge::NONE,
        waiting: Waiting::NONE,
    };

    /// The execution is a task, and begins when that is first polled.
    #[inline]
    pub(crate) fn of_task(self, call: Began) -> Self {
        Self {
            span: self.span,
            gauge: self.gauge,
            waiting: Waiting::of(call),
        }
    }

    /// The task is polled.
    #[inline]
    pub(crate) fn begins(&mut self, function: &Function) {
        self.waiting.ends(&function.metrics);
    }

    /// One poll of the execution.
    #[inline]
    pub(crate) fn within<R>(&self, poll: impl FnOnce() -> R) -> R {
        self.span.within(poll)
    }

    /// The execution served these callers, too. No call joins any more.
    #[inline]
    pub(crate) fn serves(&self, callers: &Callers) {
        self.span.serves(callers);
    }

    /// The execution has ended, and served this many callers.
    #[inline]
    pub(crate) fn ends(&mut self, ended: Ended, callers: u64) {
        self.span.ends(ended, callers);
        self.gauge.ends();
    }
}

/// The callers of a bulk call.
#[derive(Debug)]
pub(crate) struct Calls {
    times: Times,
    callers: CallerList,
}

impl Calls {
    /// In the order of their items. Without the features, the iterator is not used.
    #[inline]
    pub(crate) fn of<'a>(calls: impl ExactSizeIterator<Item = (Instant, &'a mut Caller)>) -> Self {
        let mut all = Self {
            times: Times::with_capacity(calls.len()),
            callers: CallerList::with_capacity(calls.len()),
        };
        if meters::ON || spans::ON {
            for (came, caller) in calls {
                all.times.push(came);
                all.callers.push(caller);
            }
        }
        all
    }
}

#[cfg(all(test, not(any(feature = "tracing", feature = "metrics"))))]
mod tests {
    use super::*;

    #[test]
    fn without_the_features_everything_has_size_zero() {
        assert_eq!(size_of::<Trace>(), 0);
        assert_eq!(size_of::<Began>(), 0);
        assert_eq!(size_of::<Caller>(), 0);
        assert_eq!(size_of::<Noted>(), 0);
        assert_eq!(size_of::<Calls>(), 0);
        assert_eq!(size_of::<Callers>(), 0);
        assert_eq!(size_of::<Function>(), size_of::<Cow<'static, str>>());
        assert!(!std::mem::needs_drop::<Trace>());
    }
}
