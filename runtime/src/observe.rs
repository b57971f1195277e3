//! What the world sees of executions: spans (feature `tracing`) and metrics (feature `metrics`).
//!
//! Without the features all of this is of size zero and does nothing. A [`Trace`] is that of one run of a body or one
//! bulk call: a span that is entered for each of its polls and never held over an await, and a place in the gauge of what is
//! under way. It ends when it is told how, or when it is dropped.

use std::borrow::Cow;
use std::ops::Deref;

/// What a function is called, and which attribute it has.
#[derive(Debug)]
pub(crate) struct Function {
    path: Cow<'static, str>,
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    kind: Kind,
    #[cfg(feature = "metrics")]
    name: metrics::SharedString,
}

/// Which attribute a function has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Dedup,
    Batch,
}

/// When a call began, for those who measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began(#[cfg(feature = "metrics")] tokio::time::Instant);

impl Began {
    /// For calls that began at these times. Empty, and without an allocation, if nobody measures.
    #[inline]
    pub(crate) fn all(times: impl Iterator<Item = tokio::time::Instant>) -> Vec<Self> {
        #[cfg(feature = "metrics")]
        return times.map(Self).collect();
        #[cfg(not(feature = "metrics"))]
        {
            let _ = times;
            Vec::new()
        }
    }

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
    /// Given up: its caller went, or its runtime was shut down.
    #[cfg(feature = "tracing")]
    Dropped,
}

impl Function {
    pub(crate) fn new(path: Cow<'static, str>, kind: Kind) -> Self {
        #[cfg(feature = "metrics")]
        metered::describe();
        #[cfg(not(any(feature = "tracing", feature = "metrics")))]
        let _ = kind;
        Self {
            #[cfg(feature = "metrics")]
            name: metrics::SharedString::from_shared((&*path).into()),
            #[cfg(any(feature = "tracing", feature = "metrics"))]
            kind,
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
        self.count("piggyback_calls_total", 1);
    }

    /// Callers were served by another's execution.
    #[inline]
    pub(crate) fn shared(&self, callers: u64) {
        #[cfg(feature = "metrics")]
        self.count("piggyback_shared_total", callers);
        let _ = callers;
    }

    /// A bulk call begins, for the items of these calls.
    #[inline]
    pub(crate) fn batch(&self, calls: Vec<Began>, items: u64) {
        calls.into_iter().for_each(|call| self.begins(call));
        self.batch_size(items);
        self.shared(items.saturating_sub(1));
    }

    #[inline]
    fn batch_size(&self, items: u64) {
        #[cfg(feature = "metrics")]
        metrics::histogram!("piggyback_batch_size", self.labels()).record(items as f64);
        let _ = items;
    }

    /// A caller's execution begins.
    #[inline]
    pub(crate) fn begins(&self, call: Began) {
        #[cfg(feature = "metrics")]
        metrics::histogram!("piggyback_wait_seconds", self.labels()).record(call.0.elapsed());
        let _ = call;
    }

    /// An execution begins: its span is the child of the span that is current here.
    #[inline]
    pub(crate) fn execution(&self) -> Trace {
        let mut trace = self.opens();
        self.runs(&mut trace);
        trace
    }

    /// The same in two steps, for a batch. It opens:
    #[inline]
    pub(crate) fn opens(&self) -> Trace {
        Trace {
            #[cfg(feature = "tracing")]
            span: Some(traced::span(self)),
            #[cfg(feature = "metrics")]
            gauge: None,
        }
    }

    /// And it runs.
    #[inline]
    pub(crate) fn runs(&self, trace: &mut Trace) {
        #[cfg(feature = "metrics")]
        {
            self.count("piggyback_executions_total", 1);
            let gauge = metrics::gauge!("piggyback_in_flight", self.labels());
            gauge.increment(1.0);
            trace.gauge = Some(Gauge(gauge));
        }
        let _ = trace;
    }

    #[cfg(feature = "metrics")]
    fn count(&self, counter: &'static str, more: u64) {
        metrics::counter!(counter, self.labels()).increment(more);
    }

    #[cfg(feature = "metrics")]
    fn labels(&self) -> Vec<metrics::Label> {
        let kind = match self.kind {
            Kind::Dedup => "dedup",
            Kind::Batch => "batch",
        };
        vec![
            metrics::Label::new("function", self.name.clone()),
            metrics::Label::from_static_parts("kind", kind),
        ]
    }
}

impl Deref for Function {
    type Target = str;
    fn deref(&self) -> &str {
        &self.path
    }
}

/// What is to be seen of one run of a body, or of one bulk call.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    #[cfg(feature = "tracing")]
    span: Option<tracing::Span>,
    #[cfg(feature = "metrics")]
    gauge: Option<Gauge>,
}

impl Trace {
    /// For a call that runs nothing.
    pub(crate) const NONE: Self = Self {
        #[cfg(feature = "tracing")]
        span: None,
        #[cfg(feature = "metrics")]
        gauge: None,
    };

    /// One poll.
    #[inline]
    pub(crate) fn within<R>(&self, poll: impl FnOnce() -> R) -> R {
        #[cfg(feature = "tracing")]
        let _entered = self.span.as_ref().map(tracing::Span::enter);
        poll()
    }

    /// It served these callers, too.
    #[inline]
    pub(crate) fn serves(&self, callers: &Callers) {
        #[cfg(feature = "tracing")]
        if let Some(span) = &self.span {
            for caller in callers.spans.lock().drain(..) {
                span.follows_from(caller);
            }
        }
        let _ = callers;
    }

    /// So many items, closed in this way.
    #[inline]
    pub(crate) fn takes(&self, items: u64, closed: &'static str) {
        #[cfg(feature = "tracing")]
        if let Some(span) = &self.span {
            span.record("size", items);
            span.record("closed", closed);
        }
        let _ = (items, closed);
    }

    /// It has ended, and served so many callers.
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
            Self::Dropped => "dropped",
        }
    }
}

/// Where the trace of a batch is until it runs.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    trace: crate::sync::Mutex<Trace>,
}

impl Slot {
    pub(crate) fn put(&self, trace: Trace) {
        #[cfg(any(feature = "tracing", feature = "metrics"))]
        {
            *self.trace.lock() = trace;
        }
        #[cfg(not(any(feature = "tracing", feature = "metrics")))]
        let _ = trace;
    }

    pub(crate) fn take(&self) -> Trace {
        #[cfg(any(feature = "tracing", feature = "metrics"))]
        return std::mem::take(&mut *self.trace.lock());
        #[cfg(not(any(feature = "tracing", feature = "metrics")))]
        Trace::NONE
    }
}

/// A place in the gauge of what is under way.
#[cfg(feature = "metrics")]
struct Gauge(metrics::Gauge);

#[cfg(feature = "metrics")]
impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(feature = "metrics")]
impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gauge")
    }
}

/// The spans of a flight's followers.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    #[cfg(feature = "tracing")]
    spans: crate::sync::Mutex<Vec<tracing::Span>>,
}

impl Callers {
    /// The span that is current here is a caller's.
    #[inline]
    pub(crate) fn add_current(&self) {
        #[cfg(feature = "tracing")]
        {
            let span = tracing::Span::current();
            if !span.is_none() {
                self.spans.lock().push(span);
            }
        }
    }
}

/// Says that an execution was taken over because it stood still.
pub(crate) fn warn_stalled(function: &Function) {
    #[cfg(feature = "tracing")]
    tracing::warn!(function = %&**function, "an execution was not polled although it could go on: another caller takes over");
    let _ = function;
}

/// Says that a runtime was shut down under an execution that others wait for.
pub(crate) fn warn_runtime_gone(function: &Function) {
    #[cfg(feature = "tracing")]
    tracing::warn!(function = %&**function, "the runtime of an execution was shut down while callers waited for it");
    let _ = function;
}

#[cfg(feature = "tracing")]
mod traced {
    use super::{Function, Kind};
    use tracing::field::Empty;

    pub(super) fn span(function: &Function) -> tracing::Span {
        let path = &**function;
        match function.kind {
            Kind::Dedup => {
                tracing::info_span!("dedup", function = path, callers = Empty, outcome = Empty)
            }
            Kind::Batch => {
                tracing::info_span!(
                    "batch",
                    function = path,
                    callers = Empty,
                    size = Empty,
                    closed = Empty,
                    outcome = Empty
                )
            }
        }
    }
}

#[cfg(feature = "metrics")]
mod metered {
    use std::sync::Once;

    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

    /// Once, when the first function is called: a recorder has to be installed before that for descriptions to reach it.
    pub(super) fn describe() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
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
            describe_gauge!("piggyback_in_flight", Unit::Count, "Executions under way");
            describe_histogram!("piggyback_batch_size", Unit::Count, "Items of a bulk call");
            describe_histogram!(
                "piggyback_wait_seconds",
                Unit::Seconds,
                "Time from a call to the begin of its execution"
            );
        });
    }
}
