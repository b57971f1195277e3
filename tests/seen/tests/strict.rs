//! A subscriber that panics on every warning, as test layers that forbid warnings do, leaves no caller waiting.

extern crate piggyback_seen as piggyback;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use piggyback::{batch, dedup};
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static WARNINGS: AtomicUsize = AtomicUsize::new(0);

struct Strict;

impl Subscriber for Strict {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == Level::WARN {
            WARNINGS.fetch_add(1, SeqCst);
            panic!("no warnings, please");
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn runtime() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}

const SOON: Duration = Duration::from_secs(10);

/// Polls it once on a runtime that is not driven afterwards.
macro_rules! park {
    ($undriven:expr, $call:ident) => {
        $undriven.block_on(async {
            std::future::poll_fn(|cx| {
                assert!($call.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await
        })
    };
}

#[test]
fn a_subscriber_that_panics_on_warnings_leaves_nobody_waiting() {
    #[dedup]
    async fn user(id: u64) -> u64 {
        tokio::task::yield_now().await;
        id
    }
    #[batch(size = 10, delay_ms = 10)]
    async fn save(rows: Vec<u64>) -> Vec<u64> {
        rows
    }

    tracing::subscriber::set_global_default(Strict).unwrap();
    let (undriven, driven) = (runtime(), runtime());

    for id in 0..2 {
        let mut parked = Box::pin(user(id));
        park!(undriven, parked);
        let served = driven.block_on(async { timeout(SOON, user(id)).await });
        assert_eq!(served, Ok(id));

        let mut opener = Box::pin(save(id));
        park!(undriven, opener);
        let served = driven.block_on(async { timeout(SOON, save(7)).await });
        assert_eq!(served, Ok(7));
    }
    while WARNINGS.load(SeqCst) < 4 {
        thread::sleep(Duration::from_millis(5));
    }
    runtimes_that_are_shut_down_are_warned_of_last(&driven);
}

/// A runtime is dropped under a bulk call, and under a spawned execution.
fn runtimes_that_are_shut_down_are_warned_of_last(driven: &Runtime) {
    #[batch(size = 10, delay_ms = 1)]
    async fn stuck(rows: Vec<u64>) -> Vec<u64> {
        std::future::pending::<()>().await;
        rows
    }
    #[dedup(spawn)]
    async fn task(id: u64) -> u64 {
        if runtime::Handle::current().runtime_flavor() == runtime::RuntimeFlavor::MultiThread {
            std::future::pending::<()>().await;
        }
        id
    }
    let dies = || {
        runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap()
    };
    let warned = WARNINGS.load(SeqCst);
    let other = dies();
    let mut opener = Box::pin(stuck(1));
    park!(other, opener);
    let call = driven.spawn(stuck(2));
    driven.block_on(async { tokio::time::sleep(Duration::from_millis(100)).await });
    drop(other);
    let ended = driven.block_on(async { timeout(SOON, call).await });
    let panic = ended.expect("it hangs").unwrap_err().into_panic();
    assert!(panic.downcast::<String>().unwrap().contains("shut down"));

    let other = dies();
    let mut opener = Box::pin(task(1));
    park!(other, opener);
    let call = driven.spawn(task(1));
    driven.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
    drop(other);
    let ended = driven.block_on(async { timeout(SOON, call).await });
    assert_eq!(ended.expect("it hangs").unwrap(), 1);
    assert!(WARNINGS.load(SeqCst) >= warned + 2);
}
