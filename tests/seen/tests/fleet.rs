//! The traces of executions in a fleet: the span's field, the counter of outcomes, and the metrics of the store.

extern crate piggyback_seen as piggyback;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use piggyback::fleet::{Fleet, Memory};
use piggyback::{Scope, dedup};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// The values of the field `fleet` of each span of an execution, in turn.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Said>>);

#[derive(Default)]
struct Said {
    open: BTreeMap<u64, Vec<String>>,
    closed: Vec<String>,
}

struct FleetOnly<'a>(&'a mut Vec<String>);

impl Visit for FleetOnly<'_> {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "fleet" {
            self.0.push(value.to_owned());
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        assert_eq!(attributes.metadata().name(), "dedup");
        self.0
            .lock()
            .unwrap()
            .open
            .insert(id.into_u64(), Vec::new());
    }
    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut said = self.0.lock().unwrap();
        let said = said.open.get_mut(&id.into_u64()).expect("made");
        values.record(&mut FleetOnly(said));
    }
    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut said = self.0.lock().unwrap();
        let outcomes = said.open.remove(&id.into_u64()).expect("made");
        said.closed.push(outcomes.join(", "));
    }
}

impl Spans {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let spans = Self::default();
        let guard = tracing::subscriber::set_default(Registry::default().with(spans.clone()));
        (spans, guard)
    }

    /// What those that were closed since the last time said, sorted.
    fn take(&self) -> Vec<String> {
        let mut said = std::mem::take(&mut *self.0.lock().unwrap());
        assert!(said.open.is_empty());
        said.closed.retain(|outcomes| !outcomes.is_empty());
        said.closed.sort();
        said.closed
    }
}

/// A subscriber that wants all spans, made before any span. tracing remembers whether anybody wants a span. Without this, one that
/// is met for the first time in one test while another makes its subscriber could count as unwanted for ever.
static WANTED: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Registry::default()));

/// The metrics of this thread, on which all of a test happens.
struct Metrics(Snapshotter);

/// `name label=value…`, and a counter's increments, a gauge's value, or how many values a histogram got.
type Values = BTreeMap<String, f64>;

fn values<const N: usize>(values: [(&str, f64); N]) -> Values {
    values.map(|(name, value)| (name.to_owned(), value)).into()
}

impl Metrics {
    fn start() -> (DebuggingRecorder, Self) {
        LazyLock::force(&WANTED);
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        (recorder, Self(snapshotter))
    }

    /// Those that begin so, since the last time.
    fn take(&self, begin: &str) -> Values {
        let all = self.0.snapshot().into_vec();
        let all = all
            .into_iter()
            .filter_map(|(key, unit, description, value)| {
                let key = key.key();
                let name = key.name().strip_prefix("piggyback_fleet_")?;
                assert!(unit.is_some() && description.is_some(), "{name}");
                let labels = key
                    .labels()
                    .map(|it| format!(" {}={}", it.key(), it.value()));
                let name = format!("{name}{}", labels.collect::<String>());
                let value = match value {
                    DebugValue::Counter(count) => count as f64,
                    DebugValue::Gauge(gauge) => gauge.into_inner(),
                    DebugValue::Histogram(values) => {
                        let seconds = 0.0..60.0;
                        assert!(values.iter().all(|it| seconds.contains(&it.into_inner())));
                        values.len() as f64
                    }
                };
                Some((name, value))
            });
        all.filter(|(name, value)| name.starts_with(begin) && (*value != 0.0 || begin == "up"))
            .collect()
    }
}

struct Process {
    fleet: Fleet,
    scope: Scope,
    /// A body ends when it gets a permit.
    open: Semaphore,
}

impl Process {
    fn new(fleet: Fleet) -> Self {
        let scope = Scope::named("one");
        let open = Semaphore::new(0);
        Self { fleet, scope, open }
    }

    #[dedup(across = self.fleet, scope = self.scope, name = "report")]
    async fn report(&self, key: &str) -> Result<String, ()> {
        self.open.acquire().await.expect("open").forget();
        if key == "fails" {
            return Err(());
        }
        Ok(key.to_owned())
    }
}

type Call<'a> = Pin<Box<dyn Future<Output = Result<String, ()>> + 'a>>;

/// A call that has begun, and is not polled until it is awaited.
fn begun<'a>(process: &'a Process, key: &'a str) -> Call<'a> {
    let mut call: Call<'a> = Box::pin(process.report(key));
    pending(&mut call);
    call
}

fn pending(call: &mut Call<'_>) {
    let polled = call.as_mut().poll(&mut Task::from_waker(Waker::noop()));
    assert_eq!(polled, Poll::Pending);
}

#[tokio::test]
async fn each_outcome_is_counted_and_in_its_span() {
    let (spans, _spans) = Spans::start();
    let (recorder, metrics) = Metrics::start();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let store = Memory::new();
    let [mut a, mut b] = [store.process(), store.process()]
        .map(|process| Process::new(Fleet::new("test", process).with_build("1")));
    let seen = |expected: &[&str]| {
        assert_eq!(spans.take(), expected);
        let mut counts = Values::new();
        for outcome in expected.iter().flat_map(|it| it.split(", ")) {
            let name = format!("total function=report kind=dedup outcome={outcome}");
            *counts.entry(name).or_default() += 1.0;
        }
        assert_eq!(metrics.take("total"), counts);
    };

    let (first, second, third) = (begun(&a, "k"), begun(&b, "k"), begun(&b, "k"));
    a.open.add_permits(1);
    for call in [first, second, third] {
        assert_eq!(call.await.as_deref(), Ok("k"));
    }
    seen(&["followed", "led"]);

    let (first, mut second) = (begun(&a, "k"), begun(&b, "k"));
    drop(first);
    pending(&mut second);
    b.open.add_permits(1);
    assert!(second.await.is_ok());
    seen(&["led", "taken_over"]);

    let (first, second) = (begun(&a, "fails"), begun(&b, "fails"));
    a.open.add_permits(1);
    b.open.add_permits(1);
    assert!(first.await.is_err() && second.await.is_err());
    seen(&["led", "no_value"]);

    store.set_silent(true);
    drop(begun(&a, "k"));
    store.set_silent(false);
    seen(&["away"]);

    drop(begun(&a, &"k".repeat(2000)));
    seen(&["unshareable"]);

    let again = Process::new(a.fleet.clone());
    drop((begun(&a, "k"), begun(&again, "k")));
    seen(&["led", "same_process"]);

    b.fleet = b.fleet.with_patience(Duration::from_millis(20));
    let (first, second) = (begun(&a, "k"), begun(&b, "k"));
    b.open.add_permits(1);
    assert!(second.await.is_ok());
    drop(first);
    seen(&["led", "patience"]);

    for it in [&mut a, &mut b] {
        it.fleet = it.fleet.with_lease(Duration::from_millis(40));
    }
    b.fleet = b.fleet.with_patience(Duration::from_secs(60));
    let (mut first, second) = (begun(&a, "k"), begun(&b, "k"));
    b.open.add_permits(1);
    assert!(second.await.is_ok());
    pending(&mut first);
    drop(first);
    seen(&["led, lease_lost", "taken_over"]);

    b.fleet.close();
    drop(begun(&b, "k"));
    seen(&["closed"]);
}

#[tokio::test]
async fn without_across_and_in_a_scope_without_a_name_nothing_is_said_of_a_fleet() {
    #[dedup(name = "alone")]
    async fn alone(id: u64) -> u64 {
        id
    }
    let (spans, _spans) = Spans::start();
    let (recorder, metrics) = Metrics::start();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let mut process = Process::new(Fleet::new("test", Memory::new()).with_build("1"));
    process.scope = Scope::new();
    process.open.add_permits(2);
    assert_eq!(alone(1).await, 1);
    assert!(process.report("k").await.is_ok());
    process.fleet = Fleet::local();
    assert!(process.report("k").await.is_ok());
    assert_eq!(spans.take(), Vec::<String>::new());
    assert_eq!(metrics.take("total"), Values::new());
}

#[tokio::test]
async fn the_store_is_seen_to_be_up_or_away() {
    let (recorder, metrics) = Metrics::start();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let store = Memory::new();
    let up = |value| assert_eq!(metrics.take("up"), values([("up fleet=orders", value)]));
    store.set_silent(true);
    let fleet = Fleet::new("orders", store.process()).with_build("1");
    assert_eq!(metrics.take(""), Values::new(), "it has not begun");
    assert!(!fleet.is_up());
    up(0.0);
    store.set_silent(false);
    assert!(fleet.is_up());
    up(1.0);
    // A snapshot sets a gauge to zero, so none is taken before it should be zero by itself.
    store.set_silent(false);
    store.set_silent(true);
    up(0.0);
    store.set_silent(false);
    fleet.close();
    up(0.0);
}

#[tokio::test]
async fn answers_of_the_store_are_timed_by_command() {
    let (recorder, metrics) = Metrics::start();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let store = Memory::new();
    let [a, b] = [store.process(), store.process()]
        .map(|process| Process::new(Fleet::new("orders", process).with_build("1")));
    let answered = |counts: &[(&str, f64)]| {
        let expected = counts.iter().map(|(command, count)| {
            let name = format!("seconds fleet=orders command={command}");
            (name, *count)
        });
        assert_eq!(metrics.take("seconds"), expected.collect::<Values>());
    };

    a.open.add_permits(1);
    assert!(a.report("k").await.is_ok());
    answered(&[("join", 1.0), ("close", 1.0)]);

    let (first, second) = (begun(&a, "k"), begun(&b, "k"));
    a.open.add_permits(1);
    assert!(first.await.is_ok() && second.await.is_ok());
    answered(&[("join", 2.0), ("close", 1.0), ("land", 1.0), ("look", 1.0)]);

    assert_eq!(a.fleet.forget("report", "k").await, Ok(()));
    answered(&[("forget", 1.0)]);

    let short = Process::new(a.fleet.with_lease(Duration::from_secs(3)));
    let mut call = begun(&short, "k");
    sleep(Duration::from_millis(1100)).await;
    pending(&mut call);
    drop(call);
    answered(&[("join", 1.0), ("renew", 1.0), ("land", 1.0)]);

    // A command without an answer has no time.
    let call = begun(&a, "k");
    store.set_silent(true);
    drop(call);
    answered(&[("join", 1.0)]);
}
