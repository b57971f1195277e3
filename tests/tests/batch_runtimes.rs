//! Callers on several runtimes share a batch. Runtimes stop, or are not driven, and nothing is lost, doubled, or hangs.
//! These run in real time; the bounds are generous but where they are the promise.

mod bulk;

use bulk::{Log, begun, eventually, ms, panic_of, sleep_ms};
use piggyback::{Kind, Scope, batch};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};

/// A time that nothing here may take.
const LONG: Duration = Duration::from_secs(10);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs `call` on a runtime and a thread of its own, and says when it has begun.
fn elsewhere<F>(call: F) -> thread::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let (begun_tx, begun_rx) = mpsc::channel();
    let thread = thread::spawn(move || {
        runtime().block_on(async {
            let call = begun(call).await;
            begun_tx.send(()).unwrap();
            tokio::time::timeout(LONG, call).await.expect("a hang")
        })
    });
    begun_rx.recv().expect("it begins");
    thread
}

#[test]
fn if_the_openers_runtime_stops_the_batch_runs_on_another() {
    #[batch(size = 10, delay_ms = 200, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, opener) = (Log::default(), runtime());
    opener.block_on(async {
        tokio::spawn(save(log.clone(), 1));
        sleep_ms(1).await;
    });
    let start = Instant::now();
    let others = [2, 3].map(|id| elsewhere(save(log.clone(), id)));
    drop(opener);
    let results = others.map(|other| other.join().unwrap());
    assert_eq!(results, [2, 3]);
    assert!(start.elapsed() < LONG);
    assert_eq!(log.calls(), [[2, 3]]);
}

#[test]
fn a_runtime_that_stops_in_a_panic_is_no_different() {
    #[batch(size = 10, delay_ms = 200, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let log = Log::default();
    let (opened_tx, opened_rx) = mpsc::channel();
    let (joined_tx, joined_rx) = mpsc::channel::<()>();
    let failing_test = thread::spawn({
        let log = log.clone();
        move || {
            runtime().block_on(async {
                let call = begun(save(log, 1)).await;
                sleep_ms(1).await;
                opened_tx.send(()).unwrap();
                joined_rx.recv().unwrap();
                drop(call);
                panic!("a test fails, on purpose");
            })
        }
    });
    opened_rx.recv().unwrap();
    let other = elsewhere(save(log.clone(), 2));
    joined_tx.send(()).unwrap();
    failing_test.join().unwrap_err();
    assert_eq!(other.join().unwrap(), 2);
    assert_eq!(log.calls(), [[2]]);
}

#[test]
fn a_runtime_that_stops_during_the_call_is_a_panic_that_says_so() {
    #[batch(size = 2, delay_ms = 10_000, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        std::future::pending::<()>().await;
        ids
    }
    let log = Log::default();
    let opener = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    opener.spawn(save(log.clone(), 1));
    thread::sleep(ms(20));
    let other = thread::spawn({
        let log = log.clone();
        move || runtime().block_on(panic_of(save(log, 2)))
    });
    eventually("the call runs", || log.calls().len() == 1);
    opener.shutdown_background();
    let said = other.join().unwrap();
    assert!(
        said.contains("save`: the tokio runtime that was running this batch was shut down"),
        "{said}"
    );
    assert_eq!(log.calls(), [[1, 2]]);
}

#[test]
fn the_next_batch_is_unaffected_by_a_stopped_runtime() {
    #[batch(size = 1, delay_ms = 10, concurrency = 1, skip(log))]
    async fn save(log: Log, id: Vec<u64>) {
        log.note(&id);
        if id == [1] {
            std::future::pending::<()>().await;
        }
    }
    let (log, opener) = (Log::default(), runtime());
    opener.block_on(async {
        tokio::spawn(save(log.clone(), 1));
        sleep_ms(20).await;
    });
    let next = elsewhere(save(log.clone(), 2));
    drop(opener);
    next.join().unwrap();
    assert_eq!(log.calls(), [[1], [2]]);
}

#[test]
fn a_runtime_that_is_not_driven_blocks_no_caller_longer_than_the_delay_and_the_stall() {
    #[batch(size = 10, delay_ms = 100, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, opener) = (Log::default(), runtime());
    let first = opener.block_on(begun(save(log.clone(), 1)));
    let start = Instant::now();
    assert_eq!(elsewhere(save(log.clone(), 2)).join().unwrap(), 2);
    let took = start.elapsed();
    assert!(
        ms(95) <= took && took < ms(200) + Duration::from_secs(3),
        "{took:?}"
    );
    // It took the first item along, whose caller finds its result when it goes on.
    assert_eq!(opener.block_on(first), 1);
    assert_eq!(log.calls(), [[1, 2]]);
}

#[test]
fn a_call_that_finds_an_overdue_batch_runs_it() {
    #[batch(size = 10, delay_ms = 20, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, opener) = (Log::default(), runtime());
    let first = opener.block_on(begun(save(log.clone(), 1)));
    thread::sleep(ms(400));
    assert_eq!(elsewhere(save(log.clone(), 2)).join().unwrap(), 2);
    assert_eq!(log.calls(), [[1, 2]]);
    assert_eq!(opener.block_on(first), 1);
}

#[test]
fn a_batch_that_is_not_driven_does_not_block_those_behind_it() {
    #[batch(size = 1, delay_ms = 20, concurrency = 1, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, opener) = (Log::default(), runtime());
    let first = opener.block_on(begun(save(log.clone(), 1)));
    assert_eq!(elsewhere(save(log.clone(), 2)).join().unwrap(), 2);
    assert_eq!(log.calls(), [[2]]);
    assert_eq!(opener.block_on(first), 1);
    assert_eq!(log.calls(), [[2], [1]]);
}

/// Bulk calls of one item, and the tasks in which they ran. The scope is the test's own.
#[batch(size = 1, delay_ms = 0, scope = scope)]
async fn in_task(scope: Scope, ids: Vec<u64>) -> Vec<(u64, tokio::task::Id)> {
    let task = tokio::task::id();
    ids.into_iter().map(|id| (id, task)).collect()
}

fn lost_and_stalled(scope: &Scope) -> (u64, u64) {
    match scope.stats().rows[0].kind {
        Kind::Batch {
            tasks_lost,
            tasks_stalled,
            ..
        } => (tasks_lost, tasks_stalled),
        _ => unreachable!("a batch"),
    }
}

#[test]
fn a_task_that_has_ended_takes_the_next_batch_of_its_runtime_only() {
    let scope = Scope::new();
    let call = |id| in_task(scope.clone(), id);
    let (one, other) = (runtime(), runtime());
    let (_, first) = one.block_on(call(1));
    // Its task is there, but is not driven.
    let (_, elsewhere) = other.block_on(call(2));
    assert_ne!(first, elsewhere);
    assert_eq!(one.block_on(call(3)), (3, first));
    assert_eq!(lost_and_stalled(&scope), (0, 0));
}

#[test]
fn a_task_that_is_not_needed_ends() {
    let scope = Scope::new();
    let runtime = runtime();
    runtime.block_on(async {
        in_task(scope.clone(), 1).await;
        let tasks = || Handle::current().metrics().num_alive_tasks();
        assert_eq!(tasks(), 1, "it waits for another batch");
        let start = Instant::now();
        while tasks() > 0 {
            assert!(start.elapsed() < LONG);
            sleep_ms(5).await;
        }
    });
}

#[test]
fn a_batch_runs_on_another_runtime_if_its_own_stops() {
    let scope = Scope::new();
    let one = runtime();
    assert_eq!(one.block_on(in_task(scope.clone(), 1)).0, 1);
    let call = one.block_on(begun(in_task(scope.clone(), 2)));
    drop(one);
    assert_eq!(runtime().block_on(call).0, 2);
    assert_eq!(lost_and_stalled(&scope), (1, 0));
}

/// Wakes itself for ever: the worker has no time to look for work elsewhere, as it does after a `yield_now`.
async fn keeps_a_worker_busy() {
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    })
    .await;
}

#[test]
fn a_worker_that_is_blocked_holds_no_batch_of_another() {
    let scope = Scope::new();
    let call = |id| in_task(scope.clone(), id);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    for _ in 0..64 {
        runtime.spawn(keeps_a_worker_busy());
    }
    let ((blocked, is_blocked), (release, released)) = (mpsc::channel(), mpsc::channel());
    let first = call(1);
    let blocks = runtime.spawn(async move {
        first.await;
        // The task that served it was on this worker.
        blocked.send(()).unwrap();
        released
            .recv_timeout(LONG)
            .expect("the other call is served");
    });
    is_blocked.recv_timeout(LONG).expect("it is served");
    let other = runtime.block_on(runtime.spawn(call(2)));
    assert_eq!(other.unwrap().0, 2);
    release.send(()).unwrap();
    runtime.block_on(blocks).unwrap();
    assert_eq!(lost_and_stalled(&scope), (0, 0));
}

/// The same while a batch's own task is on the worker that is blocked, since its caller goes on in the same poll: others
/// are not left to it, in exchange for that batch. (What a worker is to run next, tokio lets no other worker take.)
#[test]
fn a_batch_on_a_blocked_worker_is_not_exchanged_for_another() {
    #[batch(size = 1, delay_ms = 0, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        if ids[0] < 10 {
            sleep_ms(2).await;
        }
        ids
    }
    let log = Log::default();
    let call = |id| {
        let log = log.clone();
        async move { save(&log, id).await }
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    // Three tasks, all of which stay.
    runtime.block_on(async { tokio::join!(call(1), call(2), call(3)) });
    let ((blocked, is_blocked), (release, released)) = (mpsc::channel(), mpsc::channel());
    let first = call(10);
    let blocks = runtime.spawn(async move {
        let first = begun(first).await;
        blocked.send(()).unwrap();
        released.recv_timeout(LONG).expect("the others are served");
        first.await
    });
    is_blocked.recv_timeout(LONG).expect("it has begun");
    for id in 11..15 {
        assert_eq!(runtime.block_on(runtime.spawn(call(id))).unwrap(), id);
    }
    release.send(()).unwrap();
    assert_eq!(runtime.block_on(blocks).unwrap(), 10);
    assert_eq!(log.calls()[3..], [[11], [12], [13], [14], [10]]);
}

#[test]
fn a_batch_outlives_many_runtimes() {
    #[batch(size = 10, delay_ms = 500, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let log = Log::default();
    let last = elsewhere(save(log.clone(), 9));
    for id in 0..5 {
        let runtime = runtime();
        let call = runtime.block_on(begun(save(log.clone(), id)));
        drop(runtime);
        drop(call);
    }
    assert_eq!(last.join().unwrap(), 9);
    assert_eq!(log.calls(), [[9]]);
}

#[test]
fn side_by_side_tests_share_batches_and_lose_nothing() {
    #[batch(size = 7, delay_ms = 1, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        tokio::task::yield_now().await;
        ids.iter().map(|id| id * 2).collect()
    }
    let log = Log::default();
    // Like tests: each has a runtime that ends as soon as its own calls have.
    let tests: Vec<_> = (0..60)
        .map(|test| {
            let log = log.clone();
            move || {
                let runtime = if test % 3 == 0 {
                    Builder::new_multi_thread()
                        .worker_threads(2)
                        .enable_all()
                        .build()
                        .unwrap()
                } else {
                    runtime()
                };
                // A bulk call may be on a runtime that ends: its callers get a panic that says so, and nothing is lost.
                runtime.block_on(async {
                    let calls: Vec<_> = (0..20)
                        .map(|n| tokio::spawn(save(log.clone(), test * 100 + n)))
                        .collect();
                    let mut told = 0;
                    for (n, call) in calls.into_iter().enumerate() {
                        match tokio::time::timeout(LONG, call).await.expect("a hang") {
                            Ok(result) => assert_eq!(result, (test * 100 + n as u64) * 2),
                            Err(error) => {
                                let said = error.into_panic();
                                let said = said.downcast_ref::<String>().unwrap();
                                assert!(said.contains("was shut down"), "{said}");
                                told += 1;
                            }
                        }
                    }
                    told
                })
            }
        })
        .collect();
    for some in tests.chunks(6) {
        thread::scope(|scope| {
            for test in some {
                scope.spawn(test);
            }
        });
    }
    let mut all = log.calls().concat();
    all.sort_unstable();
    let each_once: Vec<u64> = (0..60)
        .flat_map(|test| (0..20).map(move |n| test * 100 + n))
        .collect();
    assert_eq!(all, each_once);
    assert!(log.sizes().iter().all(|&size| size <= 7));
}

fn poll_here<F: Future>(call: F) -> Result<Poll<F::Output>, String> {
    let mut call = Box::pin(call);
    let mut cx = Context::from_waker(Waker::noop());
    let mut result = Ok(Poll::Pending);
    for _ in 0..3 {
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx)));
        match polled {
            Ok(Poll::Pending) => {}
            Ok(ready) => return Ok(ready),
            Err(said) => {
                result = Err(said.downcast_ref::<String>().unwrap().clone());
                break;
            }
        }
    }
    // Its item goes before it, as with any caller that leaves.
    drop(catch_unwind(AssertUnwindSafe(|| drop(call))));
    result
}

#[test]
fn outside_of_a_runtime_a_call_says_so_and_the_others_go_on() {
    #[batch(size = 10, delay_ms = 50, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let log = Log::default();
    let said = poll_here(save(log.clone(), 1)).unwrap_err();
    assert!(said.contains("outside of a tokio runtime"), "{said}");
    assert_eq!(runtime().block_on(save(log.clone(), 2)), 2);
    assert_eq!(log.calls(), [[2]]);
}

#[test]
fn on_a_runtime_that_was_shut_down_a_call_says_so_instead_of_spinning() {
    #[batch(size = 10, delay_ms = 50, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, dead) = (Log::default(), runtime());
    let handle = dead.handle().clone();
    drop(dead);
    let _entered = handle.enter();
    let said = poll_here(save(log.clone(), 1)).unwrap_err();
    assert!(
        said.contains("on a tokio runtime that was shut down"),
        "{said}"
    );
    assert!(log.calls().is_empty());
}

#[test]
fn without_timers_a_batch_that_needs_one_says_so_and_full_ones_run() {
    #[batch(size = 2, delay_ms = 50)]
    async fn save(ids: Vec<u64>) -> Vec<u64> {
        ids
    }
    let timerless = Builder::new_current_thread().build().unwrap();
    let said = timerless.block_on(panic_of(save(1)));
    assert!(said.contains("enable_time"), "{said}");
    assert_eq!(
        timerless.block_on(async { tokio::join!(save(1), save(2)) }),
        (1, 2)
    );
}

#[test]
fn a_clock_that_is_paused_and_ahead_blocks_no_caller_on_another_runtime() {
    #[batch(size = 10, delay_ms = 200, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, real) = (
        Log::default(),
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap(),
    );
    let first = real.spawn(save(log.clone(), 1));
    thread::sleep(ms(20));
    let paused = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    paused.block_on(async { tokio::time::advance(Duration::from_secs(3_600)).await });
    let second = paused.block_on(begun(save(log.clone(), 2)));
    // The first goes, and the second would count as coming in an hour.
    first.abort();
    let start = Instant::now();
    eventually("it goes off", || !log.calls().is_empty());
    assert!(start.elapsed() < LONG);
    assert_eq!(paused.block_on(second), 2);
}

#[test]
fn batches_run_even_if_every_task_is_late() {
    #[batch(size = 10, delay_ms = 1, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let log = Log::default();
    runtime().block_on(async {
        // One round through all tasks takes 300 ms.
        let load: Vec<_> = (0..100)
            .map(|_| {
                tokio::spawn(async {
                    loop {
                        thread::sleep(ms(3));
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        let calls: Vec<_> = (0..25)
            .map(|id| tokio::spawn(save(log.clone(), id)))
            .collect();
        for (id, call) in calls.into_iter().enumerate() {
            let result = tokio::time::timeout(LONG, call).await.expect("a hang");
            assert_eq!(result.unwrap(), id as u64);
        }
        load.iter().for_each(tokio::task::JoinHandle::abort);
    });
    let mut saved = log.calls().concat();
    saved.sort_unstable();
    assert_eq!(saved, (0..25).collect::<Vec<_>>());
}

/// Begins a call on a runtime that is then shut down, and does not poll the call again.
fn lost<F: Future>(call: F) -> Pin<Box<F>> {
    let runtime = runtime();
    runtime.block_on(begun(call))
}

#[test]
fn a_flush_runs_batches_whose_callers_were_forgotten() {
    #[batch(size = 10, delay_ms = 60_000, scope = scope, skip(log))]
    async fn save(scope: Scope, log: Log, ids: Vec<u64>) {
        let _ = scope;
        log.note(&ids);
    }
    let (scope, log) = (Scope::new(), Log::default());
    mem::forget(lost(save(scope.clone(), log.clone(), 1)));
    runtime().block_on(async {
        let flush = tokio::time::timeout(ms(10_000), scope.flush());
        flush.await.expect("the flush ends");
    });
    assert_eq!(log.calls(), [[1]]);
}

#[test]
fn an_item_behind_an_equal_one_whose_caller_is_not_polled_is_sent() {
    #[batch(size = 10, delay_ms = 1, unique = |id: &u64| *id, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let log = Log::default();
    let first = lost(save(log.clone(), 1));
    runtime().block_on(async {
        let second = tokio::time::timeout(ms(10_000), save(log.clone(), 1));
        second.await.expect("it does not wait for ever");
    });
    assert_eq!(log.calls(), [[1], [1]], "in order");
    drop(first);
}

/// The watch has nothing to look at while the task wakes its caller, and leaves. It has to come back for the task that stays.
#[test]
fn a_task_that_stays_after_the_watch_has_left_ends_all_the_same() {
    #[batch(size = 1, delay_ms = 0)]
    async fn echo(ids: Vec<u64>) -> Vec<u64> {
        ids
    }
    struct Blocks(AtomicBool);
    impl Wake for Blocks {
        fn wake(self: Arc<Self>) {
            thread::sleep(ms(300));
            self.0.store(true, SeqCst);
        }
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let woken = Arc::new(Blocks(AtomicBool::new(false)));
    let waker = Waker::from(woken.clone());
    let mut call = pin!(echo(1));
    let mut cx = Context::from_waker(&waker);
    assert!(call.as_mut().poll(&mut cx).is_pending());
    let is_over = || woken.0.load(SeqCst) && runtime.metrics().num_alive_tasks() == 0;
    let began = Instant::now();
    while !is_over() && began.elapsed() < LONG {
        thread::sleep(ms(5));
    }
    assert!(is_over());
    assert_eq!(call.as_mut().poll(&mut cx), Poll::Ready(1));
}
