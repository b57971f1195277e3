//! Metrics of calls and executions, through the `metrics` facade.

use std::fmt;
use std::time::Duration;

use metrics::{
    Key, Label, Level, Metadata, SharedString, Unit, describe_counter, describe_gauge,
    describe_histogram, with_recorder,
};
use tokio::time::Instant;

use super::Kind;

/// Whether anything is measured.
pub(super) const ON: bool = true;

pub(crate) static METADATA: Metadata<'static> = Metadata::new("piggyback", Level::INFO, None);

/// When a call began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began(Instant);

impl Began {
    #[inline]
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }
}

/// When the call of a task began, until the task is first polled.
#[derive(Debug)]
pub(super) struct Waiting(Option<Began>);

impl Waiting {
    pub(super) const NONE: Self = Self(None);

    pub(super) fn of(call: Began) -> Self {
        Self(Some(call))
    }

    pub(super) fn ends(&mut self, metrics: &Metrics) {
        if let Some(call) = self.0.take() {
            metrics.begins(call);
        }
    }
}

/// When the calls of a batch began.
#[derive(Debug)]
pub(super) struct Times(Vec<Began>);

impl Times {
    pub(super) fn with_capacity(calls: usize) -> Self {
        Self(Vec::with_capacity(calls))
    }

    pub(super) fn push(&mut self, began: Instant) {
        self.0.push(Began(began));
    }
}

/// The names and labels of one function's metrics, made once. The recorder is asked for the metric each time, since it may be
/// installed at any time.
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
        let [shared, refused] = ["piggyback_shared_total", "piggyback_refused_total"].map(key);
        // There from the first call on, so that a query can subtract them.
        count(&shared, 0);
        count(&refused, 0);
        Self {
            calls: key("piggyback_calls_total"),
            executions: key("piggyback_executions_total"),
            shared,
            refused,
            in_flight: key("piggyback_in_flight"),
            batch_size: key("piggyback_batch_size"),
            wait_seconds: key("piggyback_wait_seconds"),
            permit_wait_seconds: key("piggyback_permit_wait_seconds"),
        }
    }

    pub(super) fn called(&self) {
        count(&self.calls, 1);
    }

    /// Makes its key each time: this is rare, and costs little beside the two commands to a store around it.
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
        let gauge = with_recorder(|recorder| recorder.register_gauge(&self.in_flight, &METADATA));
        gauge.increment(1.0);
        Gauge(Some(gauge))
    }

    pub(super) fn batch_size(&self, items: u64) {
        record(&self.batch_size, items as f64);
    }

    /// The execution of these calls begins now.
    pub(super) fn all_begin(&self, calls: Times) {
        calls.0.into_iter().for_each(|call| self.begins(call));
    }

    /// The execution of a call that began then begins now.
    pub(super) fn begins(&self, call: Began) {
        record(&self.wait_seconds, call.0.elapsed().as_secs_f64());
    }

    pub(super) fn waited_for_permit(&self, time: Duration) {
        record(&self.permit_wait_seconds, time.as_secs_f64());
    }
}

fn count(key: &Key, more: u64) {
    with_recorder(|recorder| recorder.register_counter(key, &METADATA)).increment(more);
}

pub(crate) fn record(key: &Key, value: f64) {
    with_recorder(|recorder| recorder.register_histogram(key, &METADATA)).record(value);
}

/// A place in the gauge of executions under way, until it is dropped.
pub(super) struct Gauge(Option<metrics::Gauge>);

impl Gauge {
    pub(super) const NONE: Self = Self(None);

    pub(super) fn ends(&mut self) {
        if let Some(gauge) = self.0.take() {
            gauge.decrement(1.0);
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.ends();
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauge")
    }
}

/// Called whenever a function is first called in a scope, so that a recorder that was installed late learns of them, too.
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
        "Time from a call to the start of the execution that it runs or is batched in"
    );
    describe_histogram!(
        "piggyback_permit_wait_seconds",
        Unit::Seconds,
        "Time that a due batch waited for a permit of `limit`"
    );
}
