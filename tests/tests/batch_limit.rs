//! `limit = …`: bulk calls of any group and function take a permit of a semaphore before they start, in the order in which
//! their batches became due.

mod bulk;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use bulk::{Log, begun, eventually, panic_of, since, sleep_ms};
use futures_util::future::join_all;
use piggyback::{Failure, FailureKind, Scope, batch, dedup};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Much longer than anything here takes: what does not end in this time hangs.
async fn ends<T>(call: impl Future<Output = T>) -> T {
    let ended = timeout(Duration::from_secs(20), call).await;
    ended.expect("it hangs")
}

fn permits(n: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(n))
}

#[tokio::test(start_paused = true)]
async fn functions_groups_and_the_users_own_code_share_the_permits() {
    static PERMITS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| permits(3));
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);

    async fn work() {
        MOST.fetch_max(RUNNING.fetch_add(1, SeqCst) + 1, SeqCst);
        sleep_ms(100).await;
        RUNNING.fetch_sub(1, SeqCst);
    }
    #[batch(size = 2, delay_ms = 1, limit = PERMITS)]
    async fn save(tenant: u64, ids: Vec<u64>) -> Vec<u64> {
        let _ = tenant;
        work().await;
        ids
    }
    #[batch(size = 2, eager, limit = &PERMITS)]
    async fn load(ids: Vec<u64>) -> Vec<u64> {
        work().await;
        ids
    }
    let start = Instant::now();
    let own = tokio::spawn(async {
        let permit = PERMITS.acquire().await;
        work().await;
        drop(permit);
    });
    let saved = (0..12).map(|id| tokio::spawn(save(id % 3, id)));
    let loaded = (0..6).map(|id| tokio::spawn(load(id)));
    let calls: Vec<_> = saved.chain(loaded).collect();
    for call in calls {
        call.await.unwrap();
    }
    own.await.unwrap();
    assert_eq!(MOST.load(SeqCst), 3);
    // Six bulk calls of `save`, three of `load` (one of them eager, with one item or two), and our own.
    assert!((300..=500).contains(&since(start)), "{}", since(start));
    assert_eq!(PERMITS.available_permits(), 3);
}

/// On one thread the order of events is certain on every runtime; on a worker, the task that was woken
/// last is polled first.
fn in_order(runtime: &Runtime) {
    #[batch(size = 2, delay_ms = 60_000, limit = permits, skip(permits, log))]
    async fn save(permits: Arc<Semaphore>, log: Log, tenant: u64, ids: Vec<u64>) {
        let _ = permits;
        log.note(&[vec![tenant], ids].concat());
    }
    #[batch(size = 1, delay_ms = 60_000, limit = permits, skip(permits, log))]
    async fn load(permits: Arc<Semaphore>, log: Log, ids: Vec<u64>) {
        let _ = permits;
        log.note(&ids);
    }
    let test = async {
        let (permits, log) = (permits(1), Log::default());
        let permit = permits.clone().acquire_owned().await;
        let mut calls: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        for (tenant, id) in [(1, 1), (2, 2), (2, 3), (1, 4), (3, 5), (1, 6), (1, 7)] {
            let call = save(permits.clone(), log.clone(), tenant, id);
            calls.push(begun(call).await);
            if tenant == 3 {
                calls.push(begun(load(permits.clone(), log.clone(), 0)).await);
            }
        }
        calls.push(begun(save(permits.clone(), log.clone(), 3, 8)).await);
        drop(permit);
        ends(join_all(calls)).await;
        let expected: [&[u64]; 5] = [&[2, 2, 3], &[1, 1, 4], &[0], &[1, 6, 7], &[3, 5, 8]];
        assert_eq!(log.calls(), expected);
        assert_eq!(permits.available_permits(), 1);
    };
    runtime.block_on(async { tokio::spawn(test).await.unwrap() });
}

#[test]
fn permits_are_given_in_the_order_in_which_batches_became_due() {
    in_order(&Builder::new_current_thread().enable_all().build().unwrap());
    let mut one_worker = Builder::new_multi_thread();
    in_order(&one_worker.worker_threads(1).enable_all().build().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_due_fills_while_it_waits_for_its_permit() {
    #[batch(size = 4, delay_ms = 5, limit = permits, skip(permits, log))]
    async fn save(permits: &Arc<Semaphore>, log: &Log, ids: Vec<u64>) {
        let _ = permits;
        log.note(&ids);
    }
    let (permits, log) = (permits(1), Log::default());
    let permit = permits.acquire().await.unwrap();
    let mut calls = Vec::new();
    for id in 0..7 {
        calls.push(begun(save(&permits, &log, id)).await);
        sleep_ms(10).await;
    }
    assert_eq!(log.sizes().len(), 0);
    // The places of those that leave a full batch are filled from behind.
    drop(calls.drain(1..3));
    drop(permit);
    join_all(calls).await;
    assert_eq!(log.calls(), [[0, 3, 4, 5].as_slice(), &[6]]);
}

#[tokio::test(start_paused = true)]
async fn an_eager_batch_takes_a_free_permit_at_once_and_fills_while_there_is_none() {
    #[batch(size = 10, eager, limit = permits, skip(permits, log))]
    async fn save(permits: &Arc<Semaphore>, log: &Log, ids: Vec<u64>) {
        let _ = permits;
        log.note(&ids);
        sleep_ms(10).await;
    }
    let (permits, log, start) = (permits(1), Log::default(), Instant::now());
    save(&permits, &log, 1).await;
    assert_eq!(since(start), 10);
    let permit = permits.acquire().await.unwrap();
    let mut calls = Vec::new();
    for id in 2..5 {
        calls.push(begun(save(&permits, &log, id)).await);
        sleep_ms(1_000).await;
    }
    drop(permit);
    let start = Instant::now();
    join_all(calls).await;
    assert_eq!(since(start), 10);
    assert_eq!(log.calls(), [vec![1], vec![2, 3, 4]]);
}

#[tokio::test(start_paused = true)]
async fn concurrency_holds_beside_limit() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    #[batch(size = 2, delay_ms = 1, concurrency = 1, limit = permits, skip(permits, log))]
    async fn save(permits: &Arc<Semaphore>, log: &Log, ids: Vec<u64>) {
        let _ = permits;
        assert_eq!(RUNNING.fetch_add(1, SeqCst), 0);
        log.note(&ids);
        sleep_ms(10).await;
        RUNNING.fetch_sub(1, SeqCst);
    }
    let (permits, log) = (permits(2), Log::default());
    let calls: Vec<_> = (0..8).map(|id| save(&permits, &log, id)).collect();
    let other = async {
        // A batch that waits for its slot keeps no permit from others.
        sleep_ms(5).await;
        assert_eq!(permits.available_permits(), 1);
    };
    tokio::join!(join_all(calls), other);
    assert_eq!(log.sizes(), [2; 4]);
    assert!(log.calls().concat().is_sorted());
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_batch_gives_its_place_back() {
    #[batch(size = 1, delay_ms = 1, limit = permits, skip(permits, log))]
    async fn save(permits: &Arc<Semaphore>, log: &Log, ids: Vec<u64>) {
        let _ = permits;
        log.note(&ids);
    }
    let (permits, log) = (permits(1), Log::default());
    let permit = permits.clone().acquire_owned().await.unwrap();
    let first = begun(save(&permits, &log, 1)).await;
    let second = begun(save(&permits, &log, 2)).await;
    sleep_ms(10).await;
    drop(first);
    drop(permit);
    // Its permit may be on its way, but not for long.
    ends(second).await;
    assert_eq!(log.calls(), [[2]]);
    let held = permits.clone().acquire_owned().await.unwrap();
    let third = begun(save(&permits, &log, 3)).await;
    sleep_ms(10).await;
    drop(held);
    drop(third);
    assert_eq!(permits.available_permits(), 1, "it had been given");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_no_longer_due_keeps_no_permit() {
    #[batch(size = 3, delay_ms = 100, limit = permits, skip(permits, log))]
    async fn save(permits: &Arc<Semaphore>, log: &Log, ids: Vec<u64>) {
        let _ = permits;
        log.note(&ids);
    }
    let (permits, log) = (permits(1), Log::default());
    let permit = permits.clone().acquire_owned().await.unwrap();
    let oldest = begun(save(&permits, &log, 1)).await;
    sleep_ms(110).await;
    let start = Instant::now();
    let second = begun(save(&permits, &log, 2)).await;
    drop(oldest);
    drop(permit);
    sleep_ms(10).await;
    assert_eq!(permits.available_permits(), 1);
    ends(second).await;
    assert_eq!((log.calls(), since(start)), (vec![vec![2]], 100));
}

#[test]
fn a_runtime_that_stops_gives_back_its_batches_permits() {
    #[batch(size = 10, delay_ms = 1, limit = permits, skip(permits, log, hang))]
    async fn save(permits: Arc<Semaphore>, log: Log, hang: bool, ids: Vec<u64>) {
        let _ = permits;
        log.note(&ids);
        if hang {
            std::future::pending::<()>().await;
        }
    }
    let (permits, log) = (permits(1), Log::default());
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let (runs, waits, lives) = (runtime(), runtime(), runtime());
    runs.block_on(async {
        tokio::spawn(save(permits.clone(), log.clone(), true, 1));
        sleep_ms(20).await;
    });
    assert_eq!(log.calls(), [[1]]);
    waits.block_on(async {
        tokio::spawn(save(permits.clone(), log.clone(), false, 2));
        sleep_ms(20).await;
    });
    // Another runtime's caller joins the batch that waits, and has it when its runtime is gone.
    let third = lives.spawn(save(permits.clone(), log.clone(), false, 3));
    lives.block_on(sleep_ms(20));
    drop(waits);
    assert_eq!(permits.available_permits(), 0, "the first runtime has it");
    drop(runs);
    lives.block_on(ends(third)).unwrap();
    assert_eq!(log.calls(), [[1], [3]]);
    assert_eq!(permits.available_permits(), 1);
}

/// A batch has a permit when its runtime stops. The next in the semaphore's queue is the user's own, and its waker panics.
#[test]
fn a_waker_that_panics_behind_a_batch_leaves_no_caller_waiting() {
    #[batch(size = 10, delay_ms = 1, limit = permits, skip(permits))]
    async fn save(permits: Arc<Semaphore>, ids: Vec<u64>) -> Vec<u64> {
        let _ = permits;
        ids
    }
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("woken");
        }
    }
    let permits = permits(1);
    let own = permits.clone().try_acquire_owned().unwrap();
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let (stops, lives) = (runtime(), runtime());
    stops.block_on(async {
        tokio::spawn(save(permits.clone(), 1));
        sleep_ms(20).await;
    });
    let other = lives.spawn(save(permits.clone(), 2));
    lives.block_on(sleep_ms(20));
    let mut behind = Box::pin(permits.acquire());
    let waker = Arc::new(Panics).into();
    let mut cx = Context::from_waker(&waker);
    assert!(behind.as_mut().poll(&mut cx).is_pending());
    drop(own);
    drop(stops);
    drop(behind);
    assert_eq!(lives.block_on(ends(other)).unwrap(), 2);
}

/// A runtime that is alive but not driven gets a permit.
#[test]
fn an_unused_permit_goes_to_others() {
    #[batch(size = 1, delay_ms = 1, limit = permits, skip(permits))]
    async fn save(permits: Arc<Semaphore>, ids: Vec<u64>) -> Vec<u64> {
        let _ = permits;
        ids
    }
    let permits = permits(1);
    let permit = permits.clone().try_acquire_owned().unwrap();
    let idle = Builder::new_current_thread().enable_all().build().unwrap();
    idle.block_on(async {
        tokio::spawn(save(permits.clone(), 1));
        sleep_ms(20).await;
    });
    let (begun_tx, begun_rx) = mpsc::channel();
    let other = thread::spawn({
        let permits = permits.clone();
        move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let call = begun(save(permits, 2)).await;
                begun_tx.send(()).unwrap();
                ends(call).await
            })
        }
    });
    begun_rx.recv().unwrap();
    drop(permit);
    assert_eq!(other.join().unwrap(), 2);
    eventually("it is given back", || permits.available_permits() == 1);
    drop(idle);
}

type Call<T = u64> = Pin<Box<dyn Future<Output = T> + Send>>;

#[tokio::test]
async fn a_bulk_call_that_awaits_its_own_function_ends_with_one_permit() {
    static PERMITS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| permits(1));
    #[batch(size = 10, delay_ms = 1, limit = PERMITS)]
    async fn depth(levels: Vec<u64>) -> Vec<u64> {
        join_all(levels.into_iter().map(below)).await
    }
    fn below(level: u64) -> Call {
        Box::pin(async move {
            if level == 0 {
                0
            } else {
                depth(level - 1).await + 1
            }
        })
    }
    assert_eq!(ends(depth(20)).await, 20);
    let several = ends(join_all([3, 5, 0, 7].map(depth))).await;
    assert_eq!(several, [3, 5, 0, 7]);
    assert_eq!(PERMITS.available_permits(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_calls_that_call_each_other_through_others_end() {
    static PERMITS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| permits(2));
    #[batch(size = 10, delay_ms = 1, limit = PERMITS)]
    async fn ping(levels: Vec<u64>) -> Vec<u64> {
        join_all(levels.into_iter().map(to_pong)).await
    }
    fn to_pong(level: u64) -> Call {
        Box::pin(async move {
            if level == 0 {
                0
            } else {
                pong(level - 1).await + 1
            }
        })
    }
    #[dedup]
    #[batch(size = 10, eager, limit = PERMITS)]
    async fn pong(levels: Vec<u64>) -> Vec<u64> {
        join_all(levels.into_iter().map(to_page)).await
    }
    #[dedup(spawn)]
    async fn page(level: u64) -> u64 {
        to_ping(level).await
    }
    fn to_page(level: u64) -> Call {
        Box::pin(page(level))
    }
    fn to_ping(level: u64) -> Call {
        Box::pin(ping(level))
    }
    for _ in 0..50 {
        let calls = join_all((0..8).map(|level| tokio::spawn(ping(level))));
        for (level, call) in ends(calls).await.into_iter().enumerate() {
            assert_eq!(call.unwrap(), level as u64);
        }
    }
    assert_eq!(PERMITS.available_permits(), 2);
}

#[tokio::test]
async fn a_flush_inside_a_bulk_call_does_not_wait_for_those_that_wait_for_its_permit() {
    #[batch(size = 1, delay_ms = 1, limit = permits, scope = scope, skip(permits))]
    async fn save(permits: Arc<Semaphore>, scope: Scope, ids: Vec<u64>) {
        let _ = permits;
        if ids == [1] {
            tokio::task::yield_now().await;
            scope.flush().await;
        }
    }
    let (permits, scope) = (permits(1), Scope::new());
    let calls = [1, 2, 3].map(|id| save(permits.clone(), scope.clone(), id));
    ends(join_all(calls)).await;
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_free_again_after_a_panic() {
    #[batch(size = 1, delay_ms = 1, limit = permits, skip(permits))]
    async fn save(permits: Arc<Semaphore>, ids: Vec<u64>) {
        let _ = permits;
        assert_ne!(ids, [1], "on purpose");
    }
    let permits = permits(1);
    let said = panic_of(save(permits.clone(), 1)).await;
    assert!(said.contains("on purpose"), "{said}");
    ends(save(permits.clone(), 2)).await;
    assert_eq!(permits.available_permits(), 1);
}

#[derive(Debug, Clone)]
enum Error {
    Bad,
    Failed(Failure),
}

#[tokio::test(start_paused = true)]
async fn a_closed_semaphore_fails_the_callers() {
    #[batch(size = 1, delay_ms = 1, limit = permits, skip(permits), failed = Error::Failed)]
    async fn save(permits: Arc<Semaphore>, ids: Vec<u64>) -> Result<(), Error> {
        unreachable!("{ids:?} without a permit of {permits:?}")
    }
    #[batch(size = 1, delay_ms = 1, limit = permits, skip(permits))]
    async fn load(permits: Arc<Semaphore>, ids: Vec<u64>) {
        unreachable!("{ids:?} without a permit of {permits:?}")
    }
    let permits = permits(0);
    let waits = begun(save(permits.clone(), 1)).await;
    sleep_ms(10).await;
    permits.close();
    for call in [waits, Box::pin(save(permits.clone(), 2))] {
        match ends(call).await {
            Err(Error::Failed(failure)) => {
                assert_eq!(failure.kind(), FailureKind::Panicked);
                assert!(
                    failure
                        .to_string()
                        .contains("the semaphore of `limit` was closed")
                );
            }
            other => panic!("{other:?}"),
        }
    }
    let said = panic_of(load(permits, 3)).await;
    assert!(
        said.contains("the semaphore of `limit` was closed"),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_split_batch_run_under_one_permit() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    #[batch(size = 4, delay_ms = 1, limit = permits, split_on_err, sort_by = |id| *id, skip(permits))]
    async fn save(permits: Arc<Semaphore>, ids: Vec<u64>) -> Result<Vec<u64>, Error> {
        assert_eq!(permits.available_permits(), 0);
        assert_eq!(RUNNING.fetch_add(1, SeqCst), 0);
        sleep_ms(10).await;
        RUNNING.fetch_sub(1, SeqCst);
        if ids.contains(&0) {
            Err(Error::Bad)
        } else {
            Ok(ids)
        }
    }
    let permits = permits(1);
    let calls = [1, 2, 0, 3, 4, 5].map(|id| save(permits.clone(), id));
    let results = join_all(calls).await;
    assert!(matches!(
        results[..],
        [Ok(1), Ok(2), Err(Error::Bad), Ok(3), Ok(4), Ok(5)]
    ));
}

#[tokio::test(start_paused = true)]
async fn methods_loaders_and_scopes_have_limits() {
    #[derive(Clone)]
    struct Service {
        permits: Arc<Semaphore>,
        scope: Scope,
        log: Log,
    }
    impl Service {
        #[dedup]
        #[batch(size = 10, eager, limit = self.permits, scope = self.scope)]
        async fn name(&self, ids: Vec<u64>) -> Vec<u64> {
            self.log.note(&ids);
            sleep_ms(10).await;
            ids
        }
        #[batch(size = 10, delay_ms = 1, limit = self.permits.clone(), key(self = 0))]
        async fn save<T: Clone + Send + 'static>(&self, items: Vec<T>) -> Vec<T> {
            assert_eq!(self.permits.available_permits(), 0);
            items
        }
    }
    let service = Service {
        permits: permits(1),
        scope: Scope::new(),
        log: Log::default(),
    };
    let permit = service.permits.acquire().await.unwrap();
    let calls = join_all([1, 1, 2, 3, 2].map(|id| service.name(id)));
    let calls = begun(calls).await;
    let texts = begun(join_all(["a", "b"].map(|text| service.save(text)))).await;
    let numbers = begun(join_all([1, 2].map(|number| service.save(number)))).await;
    let rows = service.scope.stats().rows;
    let waiting: u64 = rows.iter().map(|row| row.waiting).sum();
    assert!(waiting >= 3, "{rows:?}");
    drop(permit);
    let all = ends(async { tokio::join!(calls, texts, numbers) }).await;
    assert_eq!(all.0, [1, 1, 2, 3, 2]);
    assert_eq!((all.1, all.2), (vec!["a", "b"], vec![1, 2]));
    assert_eq!(service.log.calls(), [[1, 2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn unique_values_stay_in_order_under_a_limit() {
    #[batch(size = 2, delay_ms = 1, limit = permits, unique = |(id, _)| *id, skip(permits, log))]
    async fn save(permits: &Arc<Semaphore>, log: &Log<(u64, u64)>, rows: Vec<(u64, u64)>) {
        let _ = permits;
        log.note(&rows);
        sleep_ms(10).await;
    }
    let (permits, log) = (permits(3), Log::default());
    let calls: Vec<_> = (0..30).map(|n| save(&permits, &log, (n % 3, n))).collect();
    ends(join_all(calls)).await;
    for id in 0..3 {
        let writes = log.calls().concat().into_iter();
        let writes: Vec<u64> = writes.filter(|row| row.0 == id).map(|row| row.1).collect();
        assert!(writes.is_sorted() && writes.len() == 10, "{writes:?}");
    }
    assert_eq!(permits.available_permits(), 3);
}

#[test]
fn two_runtimes_share_the_permits() {
    #[batch(size = 3, delay_ms = 1, limit = permits, skip(permits, running))]
    async fn save(permits: Arc<Semaphore>, running: Arc<AtomicUsize>, group: u64, ids: Vec<u64>) {
        let _ = (permits, group, ids);
        assert!(running.fetch_add(1, SeqCst) < 2);
        tokio::task::yield_now().await;
        running.fetch_sub(1, SeqCst);
    }
    let (permits, running) = (permits(2), Arc::new(AtomicUsize::new(0)));
    let threads = [0, 1].map(|_| {
        let (permits, running) = (permits.clone(), running.clone());
        thread::spawn(move || {
            let runtime = Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                for round in 0..100 {
                    let save = |id| save(permits.clone(), running.clone(), id % 4, id);
                    let calls: Vec<_> = (0..20).map(|id| tokio::spawn(save(id))).collect();
                    for (id, call) in calls.into_iter().enumerate() {
                        // Some give up.
                        if (round + id) % 7 == 0 {
                            call.abort();
                        } else {
                            ends(call).await.unwrap();
                        }
                    }
                }
            });
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    eventually("all are given back", || permits.available_permits() == 2);
}

/// A call that was polled once by hand, and is forgotten by its poller, does not keep the permit that its batch was given.
#[tokio::test]
async fn a_call_that_is_polled_by_hand_is_served() {
    #[batch(size = 1, delay_ms = 1, limit = permits, skip(permits))]
    async fn save(permits: Arc<Semaphore>, ids: Vec<u64>) -> Vec<u64> {
        let _ = permits;
        ids
    }
    let permits = permits(1);
    let mut parked = Box::pin(save(permits.clone(), 1));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(parked.as_mut().poll(&mut cx).is_pending());
    assert_eq!(ends(save(permits.clone(), 2)).await, 2);
    assert_eq!(ends(parked).await, 1);
}
