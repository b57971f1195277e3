//! Spans of executions, and warnings, through `tracing`.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tracing::field::Empty;
use tracing::{Id, Span, dispatcher, info_span};

use super::Ended;
use crate::sync::Mutex;

/// Whether spans are made.
pub(super) const ON: bool = true;

/// The span of an execution, entered for each of its polls and never held over an await.
#[derive(Debug)]
pub(super) struct ExecutionSpan {
    span: Option<Span>,
    /// The span of the caller that it runs for.
    opener: Option<Id>,
}

impl ExecutionSpan {
    pub(super) const NONE: Self = Self {
        span: None,
        opener: None,
    };

    /// The span of a body that runs for the call that is made here: a child of the current span.
    pub(super) fn dedup(function: &str) -> Self {
        Self {
            span: Some(dedup(function)),
            opener: Span::current().id(),
        }
    }

    /// The span of a bulk call: a child of its first caller's span.
    pub(super) fn batch(
        function: &str,
        callers: CallerList,
        size: u64,
        closed: &str,
        waited: Option<Duration>,
    ) -> Self {
        let mut callers = callers.0.into_iter();
        let first = callers.next().unwrap_or_else(Span::none);
        let span = batch(function, &first, size, closed);
        callers.for_each(|caller| link(&span, &caller, first.id().as_ref()));
        if let Some(waited) = waited {
            let ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            span.record("permit_wait_ms", ms);
        }
        Self {
            span: Some(span),
            opener: first.id(),
        }
    }

    /// One poll of the execution.
    #[inline]
    pub(super) fn within<R>(&self, poll: impl FnOnce() -> R) -> R {
        let _entered = self.span.as_ref().map(Span::enter);
        poll()
    }

    /// The execution served these callers, too. No call joins any more.
    pub(super) fn serves(&self, callers: &Callers) {
        if let Some(span) = &self.span {
            let callers = mem::take(&mut *callers.spans.lock());
            for (caller, _) in callers.into_values() {
                link(span, &caller, self.opener.as_ref());
            }
        }
    }

    pub(super) fn ends(&mut self, ended: Ended, callers: u64) {
        if let Some(span) = self.span.take() {
            span.record("callers", callers);
            span.record("outcome", name(Some(ended)));
        }
    }
}

impl Drop for ExecutionSpan {
    /// The execution was given up: its caller left, or its runtime was shut down.
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            span.record("callers", 0_u64);
            span.record("outcome", name(None));
        }
    }
}

fn name(ended: Option<Ended>) -> &'static str {
    match ended {
        Some(Ended::Returned) => "returned",
        Some(Ended::Panicked) => "panicked",
        Some(Ended::WrongNumber) => "wrong_number",
        None => "dropped",
    }
}

/// A caller, for the execution that will serve it: the span that is current where the call is made.
#[derive(Debug)]
pub(crate) struct Caller(Span);

/// A caller that a flight has noted.
#[derive(Debug, Default)]
pub(crate) struct Noted(Option<Id>);

impl Caller {
    #[inline]
    pub(crate) fn current() -> Self {
        Self(Span::current())
    }

    #[inline]
    pub(crate) fn noted(&self) -> Noted {
        Noted(self.0.id())
    }

    /// Takes the caller out, and leaves an empty one.
    pub(crate) fn take(&mut self) -> Self {
        Self(mem::replace(&mut self.0, Span::none()))
    }
}

/// The callers of a batch, in the order of their items.
#[derive(Debug)]
pub(super) struct CallerList(Vec<Span>);

impl CallerList {
    pub(super) fn with_capacity(callers: usize) -> Self {
        Self(Vec::with_capacity(callers))
    }

    pub(super) fn push(&mut self, caller: &mut Caller) {
        self.0.push(caller.take().0);
    }
}

/// The callers that wait for a flight, by their spans; and which warnings were given.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    /// Each with the number of calls that were made in it.
    spans: Mutex<HashMap<Id, (Span, u32), foldhash::fast::RandomState>>,
    warned: Warned,
}

impl Callers {
    /// A caller joins. Returns a caller to be dropped after unlocking.
    #[inline]
    pub(crate) fn add(&self, caller: Caller) -> Caller {
        use std::collections::hash_map::Entry;
        if let Some(id) = caller.0.id() {
            match self.spans.lock().entry(id) {
                Entry::Occupied(mut same) => same.get_mut().1 += 1,
                Entry::Vacant(place) => {
                    place.insert((caller.0, 1));
                    return Caller(Span::none());
                }
            }
        }
        caller
    }

    /// A caller leaves, or runs the execution itself.
    #[inline]
    pub(crate) fn remove(&self, noted: &mut Noted) {
        if let Some(id) = noted.0.take() {
            let mut spans = self.spans.lock();
            let span = match spans.get_mut(&id) {
                Some((_, 1)) => spans.remove(&id),
                Some((_, calls)) => {
                    *calls -= 1;
                    None
                }
                None => None,
            };
            drop(spans);
            drop(span);
        }
    }

    pub(crate) fn warned(&self) -> &Warned {
        &self.warned
    }
}

/// Which warnings were given about a flight or a batch: each is given once.
#[derive(Debug, Default)]
pub(crate) struct Warned {
    stalled: AtomicBool,
    runtime_gone: AtomicBool,
}

impl Warned {
    /// Warns that an execution stands still, and will be taken over.
    pub(crate) fn stalled(&self, function: &str) {
        if first(&self.stalled) {
            tracing::warn!(
                target: "piggyback",
                function,
                "an execution was not polled although it could go on: another caller takes over"
            );
        }
    }

    /// Warns that calls have waited for an execution for a long time.
    pub(crate) fn long(&self, function: &str) {
        tracing::warn!(
            target: "piggyback",
            function,
            "calls have been waiting for this execution for ten seconds; if it waits for a call of its own, made from another task or thread, it never ends"
        );
    }

    /// Warns that a runtime was shut down under an execution that calls wait for.
    pub(crate) fn runtime_gone(&self, function: &str) {
        if first(&self.runtime_gone) {
            tracing::warn!(
                target: "piggyback",
                function,
                "the runtime of an execution was shut down while callers waited for it"
            );
        }
    }
}

/// A call got the error of `busy`.
pub(super) fn refused(function: &str) {
    tracing::debug!(
        target: "piggyback",
        function,
        "a call got the error of `busy`"
    );
}

fn dedup(function: &str) -> Span {
    #[cfg(not(feature = "fleet"))]
    let span = info_span!(
        target: "piggyback",
        "dedup",
        function,
        callers = Empty,
        outcome = Empty
    );
    #[cfg(feature = "fleet")]
    let span = info_span!(
        target: "piggyback",
        "dedup",
        function,
        callers = Empty,
        fleet = Empty,
        outcome = Empty
    );
    span
}

/// Without a span of ours, the current one is the user's.
#[cfg(feature = "fleet")]
pub(super) fn in_fleet(outcome: &'static str) {
    let span = Span::current();
    let is_ours = |it: &tracing::Metadata<'_>| it.target() == "piggyback" && it.name() == "dedup";
    if span.metadata().is_some_and(is_ours) {
        span.record("fleet", outcome);
    }
}

fn batch(function: &str, parent: &Span, size: u64, closed: &str) -> Span {
    let span = || {
        info_span!(
            target: "piggyback",
            parent: parent.id(),
            "batch",
            function,
            callers = Empty,
            size,
            closed,
            permit_wait_ms = Empty,
            outcome = Empty
        )
    };
    // The task may be on a thread that has another subscriber than the caller.
    parent
        .with_subscriber(|(_, dispatch)| dispatcher::with_default(dispatch, span))
        .unwrap_or_else(span)
}

/// An execution served this caller, too. One that shares its span with the opener has it as the parent.
fn link(execution: &Span, caller: &Span, opener: Option<&Id>) {
    if caller.id().as_ref() != opener {
        execution.follows_from(caller);
    }
}

fn first(said: &AtomicBool) -> bool {
    !said.swap(true, Relaxed)
}
