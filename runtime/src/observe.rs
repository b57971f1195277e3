//! What the world sees of executions: spans (feature `tracing`) and metrics (feature `metrics`).
//!
//! Without the features all of this is of size zero and does nothing. A [`Trace`] is that of one run of a body or one
//! bulk call: a span that is entered for each of its polls and never held over an await, and a place in the gauge of what is
//! under way. It ends when `ends` is called, or when it is dropped.
//!
//! A [`Caller`] is noted under the lock under which it joins, so that the end of the execution finds all callers. It is
//! removed when it leaves, so that no span stays open for an execution that its call does not wait for. Spans are user
//! code: under a lock they are moved, but never made, cloned or dropped.

use std::borrow::Cow;
use std::ops::Deref;
use std::time::Duration;

/// What a function is called, and which attribute it has.
#[derive(Debug)]
pub(crate) struct Function {
    path: Cow<'static, str>,
    #[cfg(feature = "metrics")]
    metrics: metered::Metrics,
}

/// Which attribute a function has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Dedup,
    Batch,
}

/// When a call began, for the metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began(#[cfg(feature = "metrics")] tokio::time::Instant);

impl Began {
    #[inline]
    pub(crate) fn now() -> Self {
        Self(
            #[cfg(feature = "metrics")]
            tokio::time::Instant::now(),
        )
    }
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Returned,
    Panicked,
    /// A bulk call gave another number of results than it got items.
    WrongNumber,
    /// Given up: its caller went, or its runtime was shut down.
    #[cfg(feature = "tracing")]
    Dropped,
}

impl Function {
    pub(crate) fn new(path: Cow<'static, str>, kind: Kind) -> Self {
        let _ = kind;
        Self {
            #[cfg(feature = "metrics")]
            metrics: metered::Metrics::new(&path, kind),
            path,
        }
    }

    pub(crate) fn path(&self) -> &Cow<'static, str> {
        &self.path
    }

    /// A call has begun.
    #[inline]
    pub(crate) fn called(&self) {
        #[cfg(feature = "metrics")]
        self.metrics.called();
    }

    /// A call got the error of `busy`.
    #[cold]
    pub(crate) fn refused(&self) {
        #[cfg(feature = "tracing")]
        tracing::debug!(
            target: "piggyback",
            function = &**self,
            "a call got the error of `busy`"
        );
        #[cfg(feature = "metrics")]
        self.metrics.refused();
    }

    /// An execution did this in a fleet. Its span is current, if it has one.
    #[cfg(feature = "fleet")]
    pub(crate) fn in_fleet(&self, outcome: crate::fleet::Outcome) {
        #[cfg(feature = "metrics")]
        self.metrics.in_fleet(outcome.name());
        #[cfg(feature = "tracing")]
        traced::in_fleet(outcome.name());
        let _ = outcome;
    }

    /// Callers were served by another's execution.
    #[inline]
    pub(crate) fn shared(&self, callers: u64) {
        #[cfg(feature = "metrics")]
        self.metrics.shared(callers);
        let _ = callers;
    }

    /// A caller's execution begins.
    #[inline]
    pub(crate) fn begins(&self, call: Began) {
        #[cfg(feature = "metrics")]
        self.metrics.waited(call.0.elapsed());
        let _ = call;
    }

    /// A body is going to run, for the call that is made here: its span is the child of the one that is current.
    #[inline]
    pub(crate) fn execution(&self) -> Trace {
        Trace {
            #[cfg(feature = "tracing")]
            span: Some(traced::dedup(self)),
            #[cfg(feature = "tracing")]
            opener: tracing::Span::current().id(),
            #[cfg(feature = "metrics")]
            gauge: Some(self.metrics.executes()),
            #[cfg(feature = "metrics")]
            began: None,
        }
    }

    /// A bulk call begins: its span is the child of its first caller's. `waited`: how long for a permit, if it needs one.
    #[inline]
    pub(crate) fn bulk(
        &self,
        calls: Calls,
        items: u64,
        closed: &'static str,
        waited: Option<Duration>,
    ) -> Trace {
        let _ = (items, closed, waited);
        #[cfg(feature = "metrics")]
        {
            self.metrics.batch_size(items);
            self.metrics.shared(items.saturating_sub(1));
            calls.began.iter().for_each(|&began| self.begins(began));
            if let Some(waited) = waited {
                self.metrics.waited_for_permit(waited);
            }
        }
        #[cfg(feature = "tracing")]
        let (span, opener) = {
            let mut callers = calls.callers.into_iter().map(|caller| caller.0);
            let first = callers.next().unwrap_or_else(tracing::Span::none);
            let span = traced::batch(self, &first, items, closed);
            callers.for_each(|caller| traced::link(&span, &caller, first.id().as_ref()));
            if let Some(waited) = waited {
                let ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                span.record("permit_wait_ms", ms);
            }
            (Some(span), first.id())
        };
        #[cfg(not(feature = "tracing"))]
        let _ = calls;
        Trace {
            #[cfg(feature = "tracing")]
            span,
            #[cfg(feature = "tracing")]
            opener,
            #[cfg(feature = "metrics")]
            gauge: Some(self.metrics.executes()),
            #[cfg(feature = "metrics")]
            began: None,
        }
    }
}

impl Deref for Function {
    type Target = str;
    fn deref(&self) -> &str {
        &self.path
    }
}

/// What is to be seen of one run of a body, or of one bulk call.
#[derive(Debug)]
pub(crate) struct Trace {
    #[cfg(feature = "tracing")]
    span: Option<tracing::Span>,
    /// The span of the caller that it runs for.
    #[cfg(feature = "tracing")]
    opener: Option<tracing::Id>,
    #[cfg(feature = "metrics")]
    gauge: Option<metered::Gauge>,
    /// When the call began, until the execution does.
    #[cfg(feature = "metrics")]
    began: Option<Began>,
}

impl Trace {
    /// For a call that runs nothing.
    pub(crate) const NONE: Self = Self {
        #[cfg(feature = "tracing")]
        span: None,
        #[cfg(feature = "tracing")]
        opener: None,
        #[cfg(feature = "metrics")]
        gauge: None,
        #[cfg(feature = "metrics")]
        began: None,
    };

    /// The execution is a task, which begins when it is first polled.
    #[inline]
    pub(crate) fn of_task(self, call: Began) -> Self {
        #[cfg(feature = "metrics")]
        let this = {
            let mut this = self;
            this.began = Some(call);
            this
        };
        #[cfg(not(feature = "metrics"))]
        let this = self;
        let _ = call;
        this
    }

    /// The task is polled.
    #[inline]
    pub(crate) fn begins(&mut self, function: &Function) {
        #[cfg(feature = "metrics")]
        if let Some(call) = self.began.take() {
            function.begins(call);
        }
        let _ = function;
    }

    /// One poll.
    #[inline]
    pub(crate) fn within<R>(&self, poll: impl FnOnce() -> R) -> R {
        #[cfg(feature = "tracing")]
        let _entered = self.span.as_ref().map(tracing::Span::enter);
        poll()
    }

    /// It served these callers, too. Nobody joins any more.
    #[inline]
    pub(crate) fn serves(&self, callers: &Callers) {
        #[cfg(feature = "tracing")]
        if let Some(span) = &self.span {
            for caller in callers.take() {
                traced::link(span, &caller, self.opener.as_ref());
            }
        }
        let _ = callers;
    }

    /// The execution has ended, and served this many callers.
    #[inline]
    pub(crate) fn ends(&mut self, ended: Ended, callers: u64) {
        #[cfg(feature = "tracing")]
        if let Some(span) = self.span.take() {
            span.record("callers", callers);
            span.record("outcome", ended.name());
        }
        #[cfg(feature = "metrics")]
        drop(self.gauge.take());
        let _ = (ended, callers);
    }
}

#[cfg(feature = "tracing")]
impl Drop for Trace {
    fn drop(&mut self) {
        self.ends(Ended::Dropped, 0);
    }
}

#[cfg(feature = "tracing")]
impl Ended {
    fn name(self) -> &'static str {
        match self {
            Self::Returned => "returned",
            Self::Panicked => "panicked",
            Self::WrongNumber => "wrong_number",
            Self::Dropped => "dropped",
        }
    }
}

/// A caller, for the execution that will serve it: the span that is current where the call is made.
#[derive(Debug)]
pub(crate) struct Caller(#[cfg(feature = "tracing")] tracing::Span);

/// A caller that a flight has noted.
#[derive(Debug, Default)]
pub(crate) struct Noted(#[cfg(feature = "tracing")] Option<tracing::Id>);

impl Caller {
    #[inline]
    pub(crate) fn current() -> Self {
        Self(
            #[cfg(feature = "tracing")]
            tracing::Span::current(),
        )
    }

    #[inline]
    pub(crate) fn noted(&self) -> Noted {
        Noted(
            #[cfg(feature = "tracing")]
            self.0.id(),
        )
    }

    /// Takes the caller out, and leaves an empty one.
    pub(crate) fn take(&mut self) -> Self {
        Self(
            #[cfg(feature = "tracing")]
            std::mem::replace(&mut self.0, tracing::Span::none()),
        )
    }
}

/// The callers of a bulk call.
#[derive(Debug)]
pub(crate) struct Calls {
    #[cfg(feature = "metrics")]
    began: Vec<Began>,
    #[cfg(feature = "tracing")]
    callers: Vec<Caller>,
}

impl Calls {
    /// In the order of their items. Without the features, the iterator is not used.
    #[inline]
    pub(crate) fn of<'a>(
        calls: impl ExactSizeIterator<Item = (tokio::time::Instant, &'a mut Caller)>,
    ) -> Self {
        #[cfg(any(feature = "tracing", feature = "metrics"))]
        {
            let mut all = Self {
                #[cfg(feature = "metrics")]
                began: Vec::with_capacity(calls.len()),
                #[cfg(feature = "tracing")]
                callers: Vec::with_capacity(calls.len()),
            };
            for (_came, _caller) in calls {
                #[cfg(feature = "metrics")]
                all.began.push(Began(_came));
                #[cfg(feature = "tracing")]
                all.callers.push(_caller.take());
            }
            all
        }
        #[cfg(not(any(feature = "tracing", feature = "metrics")))]
        {
            let _ = calls;
            Self {}
        }
    }
}

/// The callers that wait for a flight, by their spans; and what was said of it.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    #[cfg(feature = "tracing")]
    spans: crate::sync::Mutex<traced::Spans>,
    warned: Warned,
}

impl Callers {
    /// One joins. Returns what is to be dropped after unlocking.
    #[inline]
    pub(crate) fn add(&self, caller: Caller) -> Caller {
        #[cfg(feature = "tracing")]
        if let Some(id) = caller.0.id() {
            use std::collections::hash_map::Entry;
            match self.spans.lock().entry(id) {
                Entry::Occupied(mut same) => same.get_mut().1 += 1,
                Entry::Vacant(place) => {
                    place.insert((caller.0, 1));
                    return Caller(tracing::Span::none());
                }
            }
        }
        caller
    }

    /// One goes, or has the execution to run itself.
    #[inline]
    pub(crate) fn remove(&self, noted: &mut Noted) {
        #[cfg(feature = "tracing")]
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
        let _ = noted;
    }

    #[cfg(feature = "tracing")]
    fn take(&self) -> impl Iterator<Item = tracing::Span> + use<> {
        let spans = std::mem::take(&mut *self.spans.lock());
        spans.into_values().map(|(span, _)| span)
    }

    pub(crate) fn warned(&self) -> &Warned {
        &self.warned
    }
}

/// What was said of a flight or a batch: each thing once.
#[derive(Debug, Default)]
pub(crate) struct Warned {
    #[cfg(feature = "tracing")]
    stalled: std::sync::atomic::AtomicBool,
    #[cfg(feature = "tracing")]
    runtime_gone: std::sync::atomic::AtomicBool,
}

impl Warned {
    /// Says that an execution stands still, and will be taken over.
    pub(crate) fn stalled(&self, function: &Function) {
        #[cfg(feature = "tracing")]
        if traced::first(&self.stalled) {
            tracing::warn!(
                target: "piggyback",
                function = &**function,
                "an execution was not polled although it could go on: another caller takes over"
            );
        }
        let _ = function;
    }

    /// Says that others have waited for an execution for long.
    pub(crate) fn long(&self, function: &Function) {
        #[cfg(feature = "tracing")]
        tracing::warn!(
            target: "piggyback",
            function = &**function,
            "calls have been waiting for this execution for ten seconds; if it waits for a call of its own, made from another task or thread, it never ends"
        );
        let _ = function;
    }

    /// Says that a runtime was shut down under an execution that others wait for.
    pub(crate) fn runtime_gone(&self, function: &Function) {
        #[cfg(feature = "tracing")]
        if traced::first(&self.runtime_gone) {
            tracing::warn!(
                target: "piggyback",
                function = &**function,
                "the runtime of an execution was shut down while callers waited for it"
            );
        }
        let _ = function;
    }
}

#[cfg(feature = "tracing")]
mod traced {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use tracing::field::Empty;
    use tracing::{Id, Span, dispatcher, info_span};

    use super::Function;

    /// With the number of calls that were made in it.
    pub(super) type Spans = HashMap<Id, (Span, u32), foldhash::fast::RandomState>;

    pub(super) fn dedup(function: &Function) -> Span {
        #[cfg(not(feature = "fleet"))]
        let span = info_span!(
            target: "piggyback",
            "dedup",
            function = &**function,
            callers = Empty,
            outcome = Empty
        );
        #[cfg(feature = "fleet")]
        let span = info_span!(
            target: "piggyback",
            "dedup",
            function = &**function,
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
        let is_ours =
            |it: &tracing::Metadata<'_>| it.target() == "piggyback" && it.name() == "dedup";
        if span.metadata().is_some_and(is_ours) {
            span.record("fleet", outcome);
        }
    }

    pub(super) fn batch(function: &Function, parent: &Span, size: u64, closed: &str) -> Span {
        let span = || {
            info_span!(
                target: "piggyback",
                parent: parent.id(),
                "batch",
                function = &**function,
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
    pub(super) fn link(execution: &Span, caller: &Span, opener: Option<&Id>) {
        if caller.id().as_ref() != opener {
            execution.follows_from(caller);
        }
    }

    pub(super) fn first(said: &AtomicBool) -> bool {
        !said.swap(true, Relaxed)
    }
}

#[cfg(feature = "metrics")]
mod metered {
    use std::fmt;
    use std::time::Duration;

    use metrics::{
        Key, Label, Level, Metadata, SharedString, Unit, describe_counter, describe_gauge,
        describe_histogram, with_recorder,
    };

    use super::Kind;

    static METADATA: Metadata<'static> = Metadata::new("piggyback", Level::INFO, None);

    /// The names and labels of one function's metrics, made once. What they stand for is asked of the recorder each
    /// time, since one may be installed at any time.
    #[derive(Debug)]
    pub(super) struct Metrics {
        calls: Key,
        executions: Key,
        shared: Key,
        refused: Key,
        in_flight: Key,
        batch_size: Key,
        wait_seconds: Key,
        permit_wait_seconds: Key,
    }

    impl Metrics {
        pub(super) fn new(function: &str, kind: Kind) -> Self {
            describe();
            let function = SharedString::from_shared(function.into());
            let kind = match kind {
                Kind::Dedup => "dedup",
                Kind::Batch => "batch",
            };
            let key = |name: &'static str| {
                let labels = vec![
                    Label::new("function", function.clone()),
                    Label::from_static_parts("kind", kind),
                ];
                Key::from_parts(name, labels)
            };
            let shared = key("piggyback_shared_total");
            // There from the first call on: what is subtracted in a query has to be something.
            count(&shared, 0);
            Self {
                calls: key("piggyback_calls_total"),
                executions: key("piggyback_executions_total"),
                shared,
                refused: key("piggyback_refused_total"),
                in_flight: key("piggyback_in_flight"),
                batch_size: key("piggyback_batch_size"),
                wait_seconds: key("piggyback_wait_seconds"),
                permit_wait_seconds: key("piggyback_permit_wait_seconds"),
            }
        }

        pub(super) fn called(&self) {
            count(&self.calls, 1);
        }

        /// Seldom enough to make its key anew: there are two commands to a store around it.
        #[cfg(feature = "fleet")]
        pub(super) fn in_fleet(&self, outcome: &'static str) {
            let labels = self.calls.labels().cloned();
            let outcome = Label::from_static_parts("outcome", outcome);
            let labels: Vec<Label> = labels.chain([outcome]).collect();
            count(&Key::from_parts("piggyback_fleet_total", labels), 1);
        }

        pub(super) fn refused(&self) {
            count(&self.refused, 1);
        }

        pub(super) fn shared(&self, callers: u64) {
            count(&self.shared, callers);
        }

        pub(super) fn executes(&self) -> Gauge {
            count(&self.executions, 1);
            let gauge =
                with_recorder(|recorder| recorder.register_gauge(&self.in_flight, &METADATA));
            gauge.increment(1.0);
            Gauge(gauge)
        }

        pub(super) fn batch_size(&self, items: u64) {
            record(&self.batch_size, items as f64);
        }

        pub(super) fn waited(&self, time: Duration) {
            record(&self.wait_seconds, time.as_secs_f64());
        }

        pub(super) fn waited_for_permit(&self, time: Duration) {
            record(&self.permit_wait_seconds, time.as_secs_f64());
        }
    }

    fn count(key: &Key, more: u64) {
        with_recorder(|recorder| recorder.register_counter(key, &METADATA)).increment(more);
    }

    fn record(key: &Key, value: f64) {
        with_recorder(|recorder| recorder.register_histogram(key, &METADATA)).record(value);
    }

    /// A place in the gauge of what is under way.
    pub(super) struct Gauge(metrics::Gauge);

    impl Drop for Gauge {
        fn drop(&mut self) {
            self.0.decrement(1.0);
        }
    }

    impl fmt::Debug for Gauge {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Gauge")
        }
    }

    /// Each time that a function is first called in a scope: also a recorder that was installed late learns of it.
    fn describe() {
        describe_counter!(
            "piggyback_calls_total",
            Unit::Count,
            "Calls of annotated functions"
        );
        describe_counter!(
            "piggyback_executions_total",
            Unit::Count,
            "Runs of bodies, and bulk calls"
        );
        describe_counter!(
            "piggyback_shared_total",
            Unit::Count,
            "Callers that were served by another's execution"
        );
        describe_counter!(
            "piggyback_refused_total",
            Unit::Count,
            "Calls that got the error of `busy`"
        );
        #[cfg(feature = "fleet")]
        describe_counter!(
            "piggyback_fleet_total",
            Unit::Count,
            "What executions of functions with `across` did in the fleet"
        );
        describe_gauge!("piggyback_in_flight", Unit::Count, "Executions under way");
        describe_histogram!("piggyback_batch_size", Unit::Count, "Items of a bulk call");
        describe_histogram!(
            "piggyback_wait_seconds",
            Unit::Seconds,
            "Time from a call to the begin of the execution that it runs or is batched in"
        );
        describe_histogram!(
            "piggyback_permit_wait_seconds",
            Unit::Seconds,
            "Time that a due batch waited for a permit of `limit`"
        );
    }
}

#[cfg(all(test, not(any(feature = "tracing", feature = "metrics"))))]
mod tests {
    use super::*;

    #[test]
    fn without_the_features_nothing_is_left() {
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
