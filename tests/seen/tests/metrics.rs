//! Metrics: their names, labels, units, and what they count.

extern crate piggyback_seen as piggyback;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use piggyback::{Scope, batch, dedup};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// The one recorder of this process. A snapshot sets everything to zero, so what it had said is added up.
struct Recorder {
    snapshotter: Snapshotter,
    sums: HashMap<[String; 3], f64>,
}

fn recorder() -> MutexGuard<'static, Recorder> {
    static RECORDER: LazyLock<Mutex<Recorder>> = LazyLock::new(|| {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        recorder.install().expect("it is the first");
        Mutex::new(Recorder {
            snapshotter,
            sums: HashMap::new(),
        })
    });
    RECORDER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls, executions, shared, in flight.
fn numbers(function: &str, kind: &str) -> (f64, f64, f64, f64) {
    let mut recorder = recorder();
    for (key, _, _, value) in recorder.snapshotter.snapshot().into_vec() {
        let mut labels = key.key().labels();
        let mut label = |name| {
            let label = labels.next().expect("it has two labels");
            assert_eq!(label.key(), name);
            label.value().to_owned()
        };
        let names = [
            key.key().name().to_owned(),
            label("function"),
            label("kind"),
        ];
        *recorder.sums.entry(names).or_default() += match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(gauge) => gauge.into_inner(),
            DebugValue::Histogram(_) => continue,
        };
    }
    let sum = |name: &str| {
        let names = [name, function, kind].map(str::to_owned);
        recorder.sums.get(&names).copied().unwrap_or_default()
    };
    (
        sum("piggyback_calls_total"),
        sum("piggyback_executions_total"),
        sum("piggyback_shared_total"),
        sum("piggyback_in_flight"),
    )
}

fn refused(function: &str, kind: &str) -> f64 {
    numbers(function, kind);
    let names = ["piggyback_refused_total", function, kind].map(str::to_owned);
    recorder().sums.get(&names).copied().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn refused_calls_are_counted() {
    #[batch(size = 1, delay_ms = 0, concurrency = 1, max_waiting = 1, busy = (), name = "busy")]
    async fn save(ids: Vec<u64>) -> Result<(), ()> {
        drop(ids);
        sleep(Duration::from_millis(100)).await;
        Ok(())
    }
    #[dedup(max_followers = 1, busy = (), name = "busy")]
    async fn find(id: u64) -> Result<(), ()> {
        sleep(Duration::from_millis(id)).await;
        Ok(())
    }
    assert_eq!(tokio::join!(save(1), save(2)), (Ok(()), Err(())));
    assert_eq!(
        tokio::join!(find(1), find(1), find(1)),
        (Ok(()), Ok(()), Err(()))
    );
    assert_eq!(
        (refused("busy", "batch"), refused("busy", "dedup")),
        (1.0, 1.0)
    );
    assert_eq!(numbers("busy", "batch"), (2.0, 1.0, 0.0, 0.0));
    assert_eq!(numbers("busy", "dedup"), (3.0, 1.0, 1.0, 0.0));
}

async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_of_flights() {
    #[dedup(name = "flights")]
    async fn wait(ms: u64) -> u64 {
        sleep(Duration::from_millis(ms)).await;
        ms
    }
    drop(recorder());
    let calls = [(); 3].map(|()| tokio::spawn(wait(10)));
    settle().await;
    assert_eq!(numbers("flights", "dedup"), (3.0, 1.0, 0.0, 1.0));
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(numbers("flights", "dedup"), (3.0, 1.0, 2.0, 0.0));

    // A leader is dropped, and a follower takes over.
    let (leader, follower) = (tokio::spawn(wait(10)), tokio::spawn(wait(10)));
    settle().await;
    leader.abort();
    follower.await.unwrap();
    assert_eq!(numbers("flights", "dedup"), (5.0, 3.0, 2.0, 0.0));
    let stats = Scope::global().stats();
    let row = stats.rows.iter().find(|row| row.function == "flights");
    let row = row.expect("it was called");
    assert_eq!((row.calls, row.executions, row.shared), (5, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn metrics_of_spawned_flights() {
    #[dedup(spawn, name = "spawned")]
    async fn wait(ms: u64) -> u64 {
        sleep(Duration::from_millis(ms)).await;
        ms
    }
    drop(recorder());
    let calls = [(); 3].map(|()| tokio::spawn(wait(10)));
    settle().await;
    assert_eq!(numbers("spawned", "dedup"), (3.0, 1.0, 0.0, 1.0));
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(numbers("spawned", "dedup"), (3.0, 1.0, 2.0, 0.0));
    // All leave: the task ends.
    let calls = [(); 2].map(|()| tokio::spawn(wait(10)));
    settle().await;
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    settle().await;
    assert_eq!(numbers("spawned", "dedup"), (5.0, 2.0, 2.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn the_gauge_goes_back_after_panics_and_drops() {
    #[dedup(name = "panics", max_followers = 1)]
    async fn panics() {
        tokio::task::yield_now().await;
        // Without the hook: while a backtrace is printed, others would stand still on this thread.
        std::panic::resume_unwind(Box::new("no"));
    }
    #[batch(name = "panics", size = 10, delay_ms = 10)]
    async fn bulk(items: Vec<bool>) {
        sleep(Duration::from_millis(10)).await;
        assert!(items[0], "no");
    }
    drop(recorder());
    let calls = [(); 3].map(|()| tokio::spawn(panics()));
    for call in calls {
        assert!(call.await.unwrap_err().is_panic());
    }
    assert_eq!(numbers("panics", "dedup"), (3.0, 2.0, 1.0, 0.0));
    let dropped = tokio::spawn(panics());
    tokio::task::yield_now().await;
    dropped.abort();
    settle().await;
    assert_eq!(numbers("panics", "dedup").3, 0.0);

    assert!(tokio::spawn(bulk(false)).await.unwrap_err().is_panic());
    assert_eq!(numbers("panics", "batch"), (1.0, 1.0, 0.0, 0.0));

    // The runtime goes, under a bulk call.
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.spawn(bulk(true));
        runtime.block_on(async { sleep(Duration::from_millis(15)).await });
        assert_eq!(numbers("panics", "batch").3, 1.0);
    })
    .join()
    .unwrap();
    assert_eq!(numbers("panics", "batch"), (2.0, 2.0, 0.0, 0.0));
}

#[test]
fn each_metric_has_a_description_and_a_unit() {
    // In a process of its own, for no other test may take its histograms.
    let local = DebuggingRecorder::new();
    let snapshotter = local.snapshotter();
    metrics::with_local_recorder(&local, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            #[batch(name = "measured", size = 3, delay_ms = 20)]
            async fn save(items: Vec<u32>) {
                drop(items);
            }
            static PERMITS: LazyLock<Arc<Semaphore>> =
                LazyLock::new(|| Arc::new(Semaphore::new(1)));
            #[batch(name = "limited", size = 1, eager, limit = PERMITS)]
            async fn limited(items: Vec<u32>) {
                drop(items);
            }
            #[dedup(name = "measured", spawn)]
            async fn find(id: u32) -> u32 {
                id
            }
            #[dedup(name = "measured")]
            async fn wait(id: u32) -> u32 {
                sleep(Duration::from_millis(10)).await;
                id
            }
            let mut calls = Vec::new();
            for item in 0..4 {
                calls.push(tokio::spawn(save(item)));
                sleep(Duration::from_millis(5)).await;
            }
            for call in calls {
                call.await.unwrap();
            }
            let permit = PERMITS.acquire().await;
            let waits = tokio::spawn(limited(1));
            sleep(Duration::from_millis(30)).await;
            drop(permit);
            waits.await.unwrap();
            find(1).await;
            // One leads, one takes over, and one follows both.
            let [leader, a, b] = [(); 3].map(|()| tokio::spawn(wait(1)));
            sleep(Duration::from_millis(5)).await;
            leader.abort();
            a.await.unwrap();
            b.await.unwrap();
        });
    });
    let mut seen: Vec<String> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .filter(|(key, ..)| {
            let is_of_limit = key.key().name() == "piggyback_permit_wait_seconds";
            is_of_limit || key.key().labels().any(|label| label.value() == "measured")
        })
        .map(|(key, unit, text, value)| {
            let kind = match key.kind() {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            let value = match value {
                DebugValue::Counter(count) => count.to_string(),
                DebugValue::Gauge(gauge) => gauge.to_string(),
                DebugValue::Histogram(values) => {
                    let values: Vec<_> = values
                        .iter()
                        .map(|value| format!("{:.3}", value.into_inner()))
                        .collect();
                    values.join(" ")
                }
            };
            let of = key.key().labels().nth(1).unwrap().value();
            assert!(text.is_some_and(|text| text.len() > 10), "{key:?}");
            format!(
                "{kind} {} {of} [{}] = {value}",
                key.key().name(),
                unit.expect("it has a unit").as_str()
            )
        })
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "counter piggyback_calls_total batch [count] = 4",
            "counter piggyback_calls_total dedup [count] = 4",
            "counter piggyback_executions_total batch [count] = 2",
            "counter piggyback_executions_total dedup [count] = 3",
            "counter piggyback_refused_total batch [count] = 0",
            "counter piggyback_refused_total dedup [count] = 0",
            "counter piggyback_shared_total batch [count] = 2",
            "counter piggyback_shared_total dedup [count] = 1",
            "gauge piggyback_in_flight batch [count] = 0",
            "gauge piggyback_in_flight dedup [count] = 0",
            "histogram piggyback_batch_size batch [count] = 3.000 1.000",
            "histogram piggyback_permit_wait_seconds batch [seconds] = 0.030",
            "histogram piggyback_wait_seconds batch [seconds] = 0.010 0.005 0.000 0.020",
            "histogram piggyback_wait_seconds dedup [seconds] = 0.000 0.000 0.005",
        ]
    );
}
