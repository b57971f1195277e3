//! A stalled execution is a warning, once per flight. The thread that wakes the callers emits it, so only a global subscriber
//! sees it.

extern crate piggyback_seen as piggyback;

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context as Task, Waker};
use std::thread;
use std::time::Duration;

use piggyback::dedup;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The functions that were warned of.
static WARNED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Warnings;

struct Function;

impl Visit for Function {
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "function" {
            WARNED.lock().unwrap().push(value.to_owned());
        }
    }
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            event.record(&mut Function);
        }
    }
}

/// Waits until there are as many warnings.
fn warned(times: usize) {
    while WARNED.lock().unwrap().len() < times {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(*WARNED.lock().unwrap(), vec!["parked"; times]);
}

/// Polls a call once more, which is not polled again by itself.
fn park<F: Future>(call: std::pin::Pin<&mut F>) {
    assert!(call.poll(&mut Task::from_waker(Waker::noop())).is_pending());
}

#[test]
fn a_stalled_leader_is_a_warning_once_per_flight() {
    #[dedup(name = "parked")]
    async fn parked(id: u64) -> u64 {
        tokio::task::yield_now().await;
        id
    }
    tracing::subscriber::set_global_default(Registry::default().with(Warnings)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();

    let (mut first, mut second) = (pin!(parked(7)), pin!(parked(7)));
    park(first.as_mut());
    park(second.as_mut());
    warned(1);
    // It claims the flight, and stalls in turn.
    park(second.as_mut());
    assert_eq!(runtime.block_on(parked(7)), 7);
    warned(1);

    let mut leader = pin!(parked(8));
    park(leader.as_mut());
    assert_eq!(runtime.block_on(parked(8)), 8);
    warned(2);
}
