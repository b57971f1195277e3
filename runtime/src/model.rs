//! The parts of models: threads, and tasks that are polled by hand.
//!
//! Under `--cfg piggyback_loom` a model runs in every interleaving of its threads (up to a bound of preemptions); otherwise
//! it runs many times with plain threads. The checker sees the locks. It does not see std's atomics and thread-locals,
//! of which a flight's `OnceLock` (written once, under the flight's lock) and the frames of polls are made; so the bodies of
//! models take no lock, which keeps a poll in one piece.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

#[cfg(piggyback_loom)]
use loom::{sync, thread};
#[cfg(not(piggyback_loom))]
use std::{sync, thread};

pub(crate) use thread::spawn;

/// The number of times that a thread may be interrupted at a place where it did not have to wait.
#[cfg(piggyback_loom)]
const PREEMPTIONS: usize = 3;

/// Runs a model.
#[cfg(piggyback_loom)]
pub(crate) fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    builder.check(move || {
        counted.fetch_add(1, SeqCst);
        body();
    });
    println!("{} interleavings", runs.load(SeqCst));
}

/// Runs a model.
#[cfg(not(piggyback_loom))]
pub(crate) fn model(body: impl Fn() + Send + Sync + 'static) {
    for _ in 0..300 {
        body();
    }
}

/// A task: it can be woken, and waited for.
pub(crate) struct Task(Arc<Woken>);

struct Woken {
    woken: sync::Mutex<bool>,
    changed: sync::Condvar,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

impl Task {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Woken {
            woken: sync::Mutex::new(false),
            changed: sync::Condvar::new(),
        }))
    }

    pub(crate) fn waker(&self) -> Waker {
        self.0.clone().into()
    }

    /// Sleeps until it is woken. A waker that was lost is a deadlock, which the checker reports.
    pub(crate) fn sleep(&self) {
        let mut woken = self.0.woken.lock().unwrap();
        while !*woken {
            woken = self.0.changed.wait(woken).unwrap();
        }
        *woken = false;
    }

    /// Whether it was woken since it last slept.
    pub(crate) fn is_woken(&self) -> bool {
        *self.0.woken.lock().unwrap()
    }

    /// One poll.
    pub(crate) fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(&self.waker()))
    }

    /// Polls to the end.
    pub(crate) fn finish<F: Future + Unpin>(&self, future: &mut F) -> F::Output {
        loop {
            if let Poll::Ready(output) = self.poll(future) {
                return output;
            }
            self.sleep();
        }
    }
}

/// A body that is pending for some polls, and counts its runs.
pub(crate) struct Body {
    pub(crate) pending: usize,
    pub(crate) value: u32,
    pub(crate) started: bool,
    pub(crate) runs: Arc<AtomicUsize>,
}

/// The value for which a body panics instead.
pub(crate) const PANICS: u32 = u32::MAX;

impl Future for Body {
    type Output = u32;
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        if !std::mem::replace(&mut self.started, true) {
            self.runs.fetch_add(1, SeqCst);
        }
        if self.pending > 0 {
            self.pending -= 1;
            return Poll::Pending;
        }
        if self.value == PANICS {
            // Not `panic!`: the hook would print it in every interleaving.
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        Poll::Ready(self.value)
    }
}
