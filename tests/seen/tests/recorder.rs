//! A recorder may ask for stats whenever it is called: piggyback holds no lock then.

extern crate piggyback_seen as piggyback;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use piggyback::{Scope, batch, dedup};
use tokio::runtime;

static SCOPE: LazyLock<Scope> = LazyLock::new(Scope::new);
static ASKED: AtomicUsize = AtomicUsize::new(0);

struct Curious;

impl Curious {
    fn ask() {
        ASKED.fetch_add(1, SeqCst);
        drop(SCOPE.stats());
        drop(Scope::stats_all());
    }
}

impl Recorder for Curious {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        Self::ask();
    }
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        Self::ask();
    }
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        Self::ask();
    }
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Self::ask();
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Self::ask();
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Self::ask();
        Histogram::noop()
    }
}

#[dedup]
async fn global(id: u64) -> u64 {
    tokio::task::yield_now().await;
    id
}

#[dedup(scope = SCOPE)]
async fn scoped(id: u64) -> u64 {
    tokio::task::yield_now().await;
    id
}

#[batch(size = 2, delay_ms = 1, scope = SCOPE)]
async fn batched(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[test]
fn a_recorder_may_ask_for_stats() {
    metrics::set_global_recorder(Curious).expect("it is the first");
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let mut builder = runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().build().unwrap();
        runtime.block_on(async {
            assert_eq!(tokio::join!(global(1), global(1)), (1, 1));
            assert_eq!(tokio::join!(scoped(2), scoped(2)), (2, 2));
            assert_eq!(tokio::join!(batched(3), batched(4)), (3, 4));
        });
        done.send(()).unwrap();
    });
    let done = is_done.recv_timeout(Duration::from_secs(20));
    done.expect("a recorder waits for a lock that its caller holds");
    assert!(ASKED.load(SeqCst) > 20, "{ASKED:?}");
}
