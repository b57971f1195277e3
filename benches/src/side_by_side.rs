//! The two runtimes, and many tasks side by side on one of them.

use crate::alloc;
use std::{
    future::Future,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
    time::timeout,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// One thread.
    Current,
    /// Two workers.
    Multi,
}

static CURRENT: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());

static MULTI: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
});

impl Flavour {
    pub(crate) fn runtime(self) -> &'static Runtime {
        match self {
            Flavour::Current => &CURRENT,
            Flavour::Multi => &MULTI,
        }
    }
}

/// When, and with how many allocations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    at: Instant,
    allocations: f64,
}

impl Mark {
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            allocations: alloc::allocations(),
        }
    }

    /// From an earlier one to this one.
    pub(crate) fn since(self, earlier: Mark) -> Took {
        Took {
            ns: (self.at - earlier.at).as_nanos() as f64,
            allocations: self.allocations - earlier.allocations,
        }
    }
}

pub(crate) struct Took {
    pub(crate) ns: f64,
    pub(crate) allocations: f64,
}

struct Gate {
    open: Notify,
    up: AtomicUsize,
    running: AtomicUsize,
    all_ended: Notify,
}

/// Counts down even if the task panics, lest everybody waits for it.
struct Ends(Arc<Gate>);

impl Drop for Ends {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, SeqCst) == 1 {
            self.0.all_ended.notify_one();
        }
    }
}

/// Runs tasks side by side; gives the moment when all of them were up, and the one when the last had
/// ended. `nudge` is called every few milliseconds that it takes.
pub(crate) fn side_by_side<F>(
    flavour: Flavour,
    tasks: usize,
    mut task: impl FnMut(usize) -> F,
    nudge: impl Fn(),
) -> [Mark; 2]
where
    F: Future<Output = ()> + Send + 'static,
{
    let gate = Arc::new(Gate {
        open: Notify::new(),
        up: AtomicUsize::new(0),
        running: AtomicUsize::new(tasks),
        all_ended: Notify::new(),
    });
    flavour.runtime().block_on(async {
        let mut handles = Vec::with_capacity(tasks);
        for i in 0..tasks {
            let task = task(i);
            let ends = Ends(gate.clone());
            handles.push(tokio::spawn(async move {
                let open = ends.0.open.notified();
                ends.0.up.fetch_add(1, SeqCst);
                open.await;
                task.await;
                drop(ends);
            }));
        }
        while gate.up.load(SeqCst) < tasks {
            tokio::task::yield_now().await;
        }
        let begun = Mark::now();
        gate.open.notify_waiters();
        while timeout(Duration::from_millis(5), gate.all_ended.notified())
            .await
            .is_err()
        {
            nudge();
        }
        let ended = Mark::now();
        for handle in handles {
            handle.await.expect("a task panicked");
        }
        [begun, ended]
    })
}
