//! Spans and events: one span an execution, child of its opener's, following from every other caller's.

extern crate piggyback_seen as piggyback;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::task::{Context as Task, Waker};
use std::time::Duration;

use piggyback::{batch, dedup};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Instrument, Level, Span, Subscriber, info_span, instrument};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// A span that was made.
#[derive(Debug, Clone, Default)]
struct Seen {
    name: String,
    parent: Option<u64>,
    fields: BTreeMap<String, String>,
    follows: Vec<u64>,
    entered: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Log {
    /// By their own number, for ids are used again.
    spans: Vec<Seen>,
    events: Vec<BTreeMap<String, String>>,
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Log>>);

/// A span's number in the log.
struct Number(usize);

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let mut log = self.0.lock().unwrap();
        let number = log.spans.len();
        let span = cx.span(id).unwrap();
        let mut seen = Seen {
            name: span.name().to_owned(),
            parent: span.parent().map(|parent| number_of(&parent) as u64),
            ..Seen::default()
        };
        attributes.record(&mut Fields(&mut seen.fields));
        log.spans.push(seen);
        span.extensions_mut().insert(Number(number));
    }
    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        self.with(id, &cx, |seen| {
            values.record(&mut Fields(&mut seen.fields));
        });
    }
    fn on_follows_from(&self, id: &Id, follows: &Id, cx: Context<'_, S>) {
        let follows = number_of(&cx.span(follows).expect("it is not closed"));
        self.with(id, &cx, |seen| seen.follows.push(follows as u64));
    }
    fn on_enter(&self, id: &Id, cx: Context<'_, S>) {
        self.with(id, &cx, |seen| {
            assert!(!std::mem::replace(&mut seen.entered, true))
        });
    }
    fn on_exit(&self, id: &Id, cx: Context<'_, S>) {
        self.with(id, &cx, |seen| {
            assert!(std::mem::replace(&mut seen.entered, false))
        });
    }
    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        self.with(&id, &cx, |seen| seen.closed = true);
    }
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        fields.insert("level".into(), event.metadata().level().to_string());
        fields.insert("target".into(), event.metadata().target().to_owned());
        self.0.lock().unwrap().events.push(fields);
    }
}

fn number_of<'a, S: LookupSpan<'a>>(span: &tracing_subscriber::registry::SpanRef<'a, S>) -> usize {
    span.extensions().get::<Number>().unwrap().0
}

impl Recorder {
    fn with<S: Subscriber + for<'a> LookupSpan<'a>>(
        &self,
        id: &Id,
        cx: &Context<'_, S>,
        then: impl FnOnce(&mut Seen),
    ) {
        let number = number_of(&cx.span(id).unwrap());
        then(&mut self.0.lock().unwrap().spans[number]);
    }

    /// For this thread, from now on.
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let recorder = Self::default();
        let guard = tracing::subscriber::set_default(Registry::default().with(recorder.clone()));
        (recorder, guard)
    }

    fn named(&self, name: &str) -> Vec<Seen> {
        let log = self.0.lock().unwrap();
        let named = log.spans.iter().filter(|span| span.name == name);
        named.cloned().collect()
    }

    fn one(&self, name: &str) -> Seen {
        let mut all = self.named(name);
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    /// The meaning of a number: the span's field `n`, or its name.
    fn called(&self, number: u64) -> String {
        let log = self.0.lock().unwrap();
        let seen = &log.spans[number as usize];
        seen.fields.get("n").unwrap_or(&seen.name).clone()
    }

    fn parent(&self, seen: &Seen) -> String {
        seen.parent
            .map_or_else(String::new, |parent| self.called(parent))
    }

    fn follows(&self, seen: &Seen) -> BTreeSet<String> {
        let all: BTreeSet<_> = seen.follows.iter().map(|&of| self.called(of)).collect();
        assert_eq!(all.len(), seen.follows.len(), "each once");
        all
    }

    /// Warnings, but without the text.
    fn warnings(&self) -> Vec<String> {
        let log = self.0.lock().unwrap();
        let warnings = log.events.iter().filter(|event| event["level"] == "WARN");
        warnings
            .map(|event| {
                assert_eq!(event["target"], "piggyback");
                let what = event["message"].contains("shut down");
                let what = if what { "runtime gone" } else { "stalled" };
                format!("{} {what}", event["function"])
            })
            .collect()
    }

    fn nothing_is_open(&self) {
        for span in &self.0.lock().unwrap().spans {
            assert!(span.closed && !span.entered, "{span:#?}");
        }
    }
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// A task in a span of its own.
fn caller<F>(n: u64, call: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(call.instrument(info_span!("caller", n)))
}

async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[dedup(name = "find")]
async fn find(id: u64) -> u64 {
    sleep(Duration::from_millis(10)).await;
    // In the execution's own span, also after an await.
    info_span!("query").in_scope(|| id)
}

#[tokio::test(start_paused = true)]
async fn a_flight_is_a_span_that_follows_from_all_callers() {
    let (recorder, _guard) = Recorder::start();
    let calls: Vec<_> = (0..4).map(|n| caller(n, find(1))).collect();
    for call in calls {
        call.await.unwrap();
    }
    let span = recorder.one("dedup");
    assert_eq!(span.fields["function"], "find");
    assert_eq!(span.fields["callers"], "4");
    assert_eq!(span.fields["outcome"], "returned");
    assert_eq!(recorder.parent(&span), "0");
    assert_eq!(recorder.follows(&span), names(["1", "2", "3"]));
    assert_eq!(recorder.parent(&recorder.one("query")), "dedup");
    recorder.nothing_is_open();
}

#[tokio::test(start_paused = true)]
async fn callers_keep_their_own_span_over_the_call() {
    #[instrument(name = "request")]
    async fn request(n: u64) {
        let own = Span::current().id();
        find(2).await;
        assert_eq!(Span::current().id(), own);
        save(1, 7).await;
        assert_eq!(Span::current().id(), own);
    }
    let (recorder, _guard) = Recorder::start();
    let calls = [0, 1, 2].map(|n| tokio::spawn(request(n)));
    // Between two polls nothing is entered.
    while !calls.iter().all(|call| call.is_finished()) {
        assert!(Span::current().is_none());
        sleep(Duration::from_millis(1)).await;
    }
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(recorder.named("request").len(), 3);
    recorder.nothing_is_open();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_is_not_linked_and_its_span_closes_at_once() {
    let (recorder, _guard) = Recorder::start();
    let calls = [0, 1, 2].map(|n| caller(n, find(3)));
    settle().await;
    calls[1].abort();
    settle().await;
    let callers = recorder.named("caller");
    let open: Vec<_> = callers.iter().map(|span| !span.closed).collect();
    assert_eq!(open, [true, false, true]);
    for call in calls {
        let _ = call.await;
    }
    let span = recorder.one("dedup");
    assert_eq!(span.fields["callers"], "2");
    assert_eq!(recorder.follows(&span), names(["2"]));
    recorder.nothing_is_open();
}

#[tokio::test(start_paused = true)]
async fn a_takeover_is_a_span_of_its_own_in_its_new_leaders() {
    let (recorder, _guard) = Recorder::start();
    let calls = [0, 1, 2].map(|n| caller(n, find(4)));
    settle().await;
    calls[0].abort();
    for call in calls {
        let _ = call.await;
    }
    let spans = recorder.named("dedup");
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].fields["outcome"], "dropped");
    assert_eq!(spans[0].fields["callers"], "0");
    assert_eq!(recorder.parent(&spans[0]), "0");
    assert!(spans[0].follows.is_empty());
    assert_eq!(spans[1].fields["outcome"], "returned");
    assert_eq!(spans[1].fields["callers"], "2");
    let leader = recorder.parent(&spans[1]);
    let follower = if leader == "1" { "2" } else { "1" };
    assert!(leader == "1" || leader == "2");
    assert_eq!(recorder.follows(&spans[1]), names([follower]));
    assert!(
        recorder.warnings().is_empty(),
        "a client that goes is no fault"
    );
    recorder.nothing_is_open();
}

#[tokio::test(start_paused = true)]
async fn calls_in_one_span_have_it_as_their_parent_alone() {
    let (recorder, _guard) = Recorder::start();
    let both = async { tokio::join!(find(5), find(5)) };
    caller(0, both).await.unwrap();
    let span = recorder.one("dedup");
    assert_eq!(span.fields["callers"], "2");
    assert!(span.follows.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_span_is_linked_as_long_as_one_of_its_calls_waits() {
    async fn two(id: u64, leave: usize) {
        let mut calls: Vec<_> = (0..2).map(|_| Box::pin(find(id))).collect();
        for call in &mut calls {
            park(call.as_mut());
        }
        calls.truncate(2 - leave);
        for call in calls {
            call.await;
        }
    }
    let (recorder, _guard) = Recorder::start();
    for leave in [0, 1, 2] {
        let id = 10 + leave as u64;
        let calls = [caller(0, find(id)), caller(2, find(id))];
        caller(1, two(id, leave)).await.unwrap();
        for call in calls {
            call.await.unwrap();
        }
    }
    let follow = recorder.named("dedup");
    let follow: Vec<_> = follow.iter().map(|it| recorder.follows(it)).collect();
    assert_eq!(follow, [names(["1", "2"]), names(["1", "2"]), names(["2"])]);
    recorder.nothing_is_open();
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_outcome() {
    #[dedup(name = "panics", max_followers = 1)]
    async fn panics() {
        sleep(Duration::from_millis(1)).await;
        // Without the hook: while a backtrace is printed, others would stand still on this thread.
        std::panic::resume_unwind(Box::new("no"));
    }
    #[batch(name = "panics", size = 2, delay_ms = 1)]
    async fn bulk(items: Vec<u32>) -> Vec<u32> {
        assert_ne!(items[0], 0, "no");
        Vec::new()
    }
    let (recorder, _guard) = Recorder::start();
    let calls = [0, 1, 2].map(|n| caller(n, panics()));
    for call in calls {
        assert!(call.await.unwrap_err().is_panic());
    }
    let outcomes: BTreeMap<_, _> = recorder
        .named("dedup")
        .into_iter()
        .map(|span| {
            (
                span.fields["callers"].clone(),
                span.fields["outcome"].clone(),
            )
        })
        .collect();
    let panicked = |callers: &str| (callers.to_owned(), "panicked".to_owned());
    assert_eq!(outcomes, BTreeMap::from([panicked("1"), panicked("2")]));
    for item in [0, 1] {
        assert!(caller(9, bulk(item)).await.unwrap_err().is_panic());
    }
    let bulk: Vec<_> = recorder
        .named("batch")
        .into_iter()
        .map(|span| span.fields["outcome"].clone())
        .collect();
    assert_eq!(bulk, ["panicked", "wrong_number"]);
    recorder.nothing_is_open();
}

#[dedup(spawn, name = "spawned")]
async fn spawned(id: u64) -> u64 {
    sleep(Duration::from_millis(10)).await;
    id
}

#[tokio::test(start_paused = true)]
async fn a_spawned_execution_has_its_opener_as_ancestor() {
    let (recorder, _guard) = Recorder::start();
    let calls = [0, 1, 2].map(|n| caller(n, spawned(1)));
    for call in calls {
        call.await.unwrap();
    }
    let span = recorder.one("dedup");
    assert_eq!(recorder.parent(&span), "0");
    assert_eq!(recorder.follows(&span), names(["1", "2"]));
    assert_eq!(span.fields["callers"], "3");
    recorder.nothing_is_open();
}

#[batch(size = 3, delay_ms = 10, name = "save")]
async fn save(_test: u64, items: Vec<u64>) -> Vec<u64> {
    sleep(Duration::from_millis(10)).await;
    info_span!("insert").in_scope(|| items)
}

#[tokio::test(start_paused = true)]
async fn a_bulk_call_is_a_span_that_follows_from_all_callers() {
    let (recorder, _guard) = Recorder::start();
    let calls = [0, 1, 2, 3].map(|n| caller(n, save(2, n)));
    for call in calls {
        call.await.unwrap();
    }
    let spans = recorder.named("batch");
    assert_eq!(spans.len(), 2);
    for (span, [callers, closed, parent]) in
        spans.iter().zip([["3", "size", "0"], ["1", "delay", "3"]])
    {
        assert_eq!(span.fields["function"], "save");
        assert_eq!(span.fields["callers"], callers);
        assert_eq!(span.fields["size"], callers);
        assert_eq!(span.fields["closed"], closed);
        assert_eq!(span.fields["outcome"], "returned");
        assert_eq!(recorder.parent(span), parent);
    }
    assert_eq!(recorder.follows(&spans[0]), names(["1", "2"]));
    assert!(spans[1].follows.is_empty());
    let inserts = recorder.named("insert");
    assert!(
        inserts
            .iter()
            .all(|insert| recorder.parent(insert) == "batch")
    );
    recorder.nothing_is_open();
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_an_event() {
    #[batch(size = 1, eager, concurrency = 1, max_waiting = 1, busy = (), name = "refusing")]
    async fn save(items: Vec<u64>) -> Result<(), ()> {
        drop(items);
        sleep(Duration::from_millis(10)).await;
        Ok(())
    }
    #[dedup(max_followers = 1, busy = (), name = "refusing")]
    async fn find(id: u64) -> Result<(), ()> {
        sleep(Duration::from_millis(id)).await;
        Ok(())
    }
    let (recorder, _guard) = Recorder::start();
    let _ = tokio::join!(save(1), save(2), find(1), find(1), find(1));
    let log = recorder.0.lock().unwrap();
    let refusals = log.events.iter().filter(|event| event["level"] == "DEBUG");
    let functions: Vec<_> = refusals.map(|event| event["function"].clone()).collect();
    assert_eq!(functions, ["refusing", "refusing"]);
}

#[tokio::test(start_paused = true)]
async fn a_bulk_call_says_how_long_it_waited_for_its_permit() {
    static PERMITS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));
    #[batch(size = 1, delay_ms = 10, limit = PERMITS, name = "limited")]
    async fn limited(items: Vec<u64>) {
        drop(items);
    }
    let (recorder, _guard) = Recorder::start();
    limited(1).await;
    let permit = PERMITS.acquire().await;
    let call = tokio::spawn(limited(2));
    sleep(Duration::from_millis(70)).await;
    drop(permit);
    call.await.unwrap();
    let waits: Vec<_> = recorder
        .named("batch")
        .into_iter()
        .map(|span| span.fields["permit_wait_ms"].clone())
        .collect();
    assert_eq!(waits, ["0", "70"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_its_batch_is_not_linked() {
    let (recorder, _guard) = Recorder::start();
    let calls = [0, 1, 2].map(|n| {
        // Fewer than are needed to fill it.
        caller(n, async move {
            if n < 2 {
                save(3, n).await;
            } else {
                sleep(Duration::from_millis(1)).await;
                save(3, n).await;
            }
        })
    });
    settle().await;
    calls[0].abort();
    settle().await;
    assert!(recorder.named("caller")[0].closed, "nobody holds its span");
    for call in calls {
        let _ = call.await;
    }
    let span = recorder.one("batch");
    // The first that still is there stands for the opener.
    assert_eq!(recorder.parent(&span), "1");
    assert_eq!(recorder.follows(&span), names(["2"]));
    assert_eq!(span.fields["size"], "2");
    recorder.nothing_is_open();
}

#[tokio::test(start_paused = true)]
async fn without_a_span_a_caller_is_no_link_and_an_execution_is_a_root() {
    let (recorder, _guard) = Recorder::start();
    let calls = [
        tokio::spawn(find(6)),
        caller(1, find(6)),
        tokio::spawn(find(6)),
    ];
    for call in calls {
        call.await.unwrap();
    }
    let span = recorder.one("dedup");
    assert_eq!((span.parent, &*span.fields["callers"]), (None, "3"));
    assert_eq!(recorder.follows(&span), names(["1"]));
    save(4, 1).await;
    assert_eq!(recorder.one("batch").parent, None);
    recorder.nothing_is_open();
}

/// A leader that was polled once, and is not polled again.
fn park<F: Future>(call: std::pin::Pin<&mut F>) {
    assert!(call.poll(&mut Task::from_waker(Waker::noop())).is_pending());
}

#[tokio::test(start_paused = true)]
async fn each_execution_that_takes_over_from_a_stalled_leader_has_a_span() {
    #[dedup(name = "parked")]
    async fn parked(id: u64) -> u64 {
        sleep(Duration::from_millis(10)).await;
        id
    }
    let (recorder, _guard) = Recorder::start();
    let (mut first, mut second) = (pin!(parked(7)), pin!(parked(7)));
    park(first.as_mut());
    // The first is deposed; the second claims the flight, and stalls in turn.
    while recorder.named("dedup").len() < 2 {
        park(second.as_mut());
        std::thread::sleep(Duration::from_millis(5));
    }
    caller(3, parked(7)).await.unwrap();
    assert_eq!(recorder.named("dedup").len(), 3);
}

/// Runs `call` on a runtime of its own, and shuts that down when told.
fn on_a_runtime_that_dies<F: Future<Output: Send> + Send + 'static>(
    call: F,
) -> (mpsc::Sender<()>, std::thread::JoinHandle<()>) {
    let (die, dies) = mpsc::channel();
    let (up, is_up) = mpsc::channel();
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let thread = std::thread::spawn(move || {
        let _subscriber = tracing::dispatcher::set_default(&dispatch);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(call.instrument(info_span!("caller", n = "lost")));
        runtime.block_on(async { sleep(Duration::from_millis(20)).await });
        up.send(()).unwrap();
        dies.recv().unwrap();
        drop(runtime);
    });
    is_up.recv().unwrap();
    (die, thread)
}

#[tokio::test]
async fn a_runtime_that_stops_is_a_warning() {
    #[dedup(spawn, name = "long")]
    async fn long(id: u64) -> u64 {
        sleep(Duration::from_millis(100)).await;
        id
    }
    #[batch(size = 3, delay_ms = 100, name = "slow")]
    async fn slow(items: Vec<u64>) -> Vec<u64> {
        items
    }
    let (recorder, _guard) = Recorder::start();
    let (die, thread) = on_a_runtime_that_dies(async {
        tokio::join!(long(2), slow(1));
    });
    let calls = [
        caller(1, long(2)),
        caller(2, long(2)),
        caller(3, slow(2)),
        caller(4, slow(3)),
    ];
    // The last one fills the batch, whose task is the other runtime's.
    settle().await;
    die.send(()).unwrap();
    thread.join().unwrap();
    for call in calls {
        call.await.unwrap();
    }
    let mut warnings = recorder.warnings();
    warnings.sort();
    assert_eq!(warnings, ["long runtime gone", "slow runtime gone"]);
    let spans = recorder.named("dedup");
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].fields["outcome"], "dropped");
    assert_eq!(spans[1].fields["outcome"], "returned");
    assert_eq!(spans[1].fields["callers"], "2");
    assert_eq!(recorder.follows(&spans[1]).len(), 1);
    // The item of the runtime that died went with its caller.
    assert_eq!(recorder.one("batch").fields["size"], "2");
    recorder.nothing_is_open();
}

#[test]
fn callers_on_many_threads_are_all_linked() {
    let recorder = Recorder::default();
    let dispatch = tracing::Dispatch::new(Registry::default().with(recorder.clone()));
    let runtime = {
        let dispatch = dispatch.clone();
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&dispatch)))
            .build()
            .unwrap()
    };
    #[dedup(name = "busy")]
    async fn busy(id: u64) -> u64 {
        tokio::task::yield_now().await;
        id
    }
    #[batch(size = 4, delay_ms = 1, name = "busy")]
    async fn bulk(items: Vec<u64>) -> Vec<u64> {
        items
    }
    let _here = tracing::dispatcher::set_default(&dispatch);
    runtime.block_on(async {
        let calls: Vec<_> = (0..2_000)
            .map(|n| {
                caller(n, async move {
                    busy(n / 200).await;
                    bulk(n).await;
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
    });
    drop(runtime);
    for name in ["dedup", "batch"] {
        let spans = recorder.named(name);
        let served: u64 = spans
            .iter()
            .map(|span| span.fields["callers"].parse::<u64>().unwrap())
            .sum();
        assert_eq!(served, 2_000);
        for span in spans {
            assert!(span.parent.is_some());
            assert_eq!(
                recorder.follows(&span).len() + 1,
                span.fields["callers"].parse::<usize>().unwrap(),
                "{span:?}"
            );
        }
    }
    recorder.nothing_is_open();
}

#[tokio::test(start_paused = true)]
async fn spans_are_made_at_the_level_info() {
    struct Quiet;
    impl<S: Subscriber> Layer<S> for Quiet {
        fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
            *metadata.level() <= Level::WARN
        }
    }
    let recorder = Recorder::default();
    let subscriber = Registry::default().with(Quiet).with(recorder.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let calls = [0, 1].map(|_| tokio::spawn(find(8)));
    for call in calls {
        call.await.unwrap();
    }
    assert!(recorder.named("dedup").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_leaves_no_caller_hanging() {
    struct Broken;
    impl<S: Subscriber> Layer<S> for Broken {
        fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
            assert!(attributes.metadata().name() != "batch", "on purpose");
        }
    }
    #[batch(size = 2, delay_ms = 1)]
    async fn bulk(items: Vec<u64>) -> Vec<u64> {
        items
    }
    let _guard = tracing::subscriber::set_default(Registry::default().with(Broken));
    let calls = [1, 2].map(|item| tokio::spawn(bulk(item)));
    for call in calls {
        let ended = tokio::time::timeout(Duration::from_secs(60), call).await;
        let panic = ended.expect("it hangs").expect_err("its batch never ran");
        assert!(panic.is_panic());
    }
}
