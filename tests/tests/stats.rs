//! `Scope::stats()`: what each number counts, and how the table looks.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use piggyback::{Closed, Kind, Row, Scope, Stats, batch, dedup};
use tokio::time::sleep;

fn row(scope: &Scope, function: &str) -> Row {
    let stats = scope.stats();
    let row = stats.rows.iter().find(|row| row.function == function);
    row.unwrap_or_else(|| panic!("no row `{function}` in\n{stats}"))
        .clone()
}

/// Dropped, stalled, re-entrant.
fn rare(row: &Row) -> (u64, u64, u64) {
    match row.kind {
        Kind::Dedup {
            leaders_dropped,
            leaders_stalled,
            reentrant,
            ..
        } => (leaders_dropped, leaders_stalled, reentrant),
        _ => panic!("not a `#[dedup]` function: {row:?}"),
    }
}

fn closed(row: &Row) -> Closed {
    match row.kind {
        Kind::Batch { closed, .. } => closed,
        _ => panic!("not a `#[batch]` function: {row:?}"),
    }
}

/// Size, delay, weight, unique, eager, flush.
fn ways(row: &Row) -> [u64; 6] {
    let closed = closed(row);
    [
        closed.size,
        closed.delay,
        closed.weight,
        closed.unique,
        closed.eager,
        closed.flush,
    ]
}

/// Tasks lost, tasks stalled.
fn tasks(row: &Row) -> (u64, u64) {
    match row.kind {
        Kind::Batch {
            tasks_lost,
            tasks_stalled,
            ..
        } => (tasks_lost, tasks_stalled),
        _ => panic!("not a `#[batch]` function: {row:?}"),
    }
}

async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[dedup(scope = scope, name = "wait")]
async fn wait(scope: &Scope, ms: u64) -> u64 {
    sleep(Duration::from_millis(ms)).await;
    ms
}

#[tokio::test(start_paused = true)]
async fn a_flight_is_counted_while_it_is_up_and_after() {
    let scope = Scope::new();
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let scope = scope.clone();
            tokio::spawn(async move { wait(&scope, 10).await })
        })
        .collect();
    settle().await;
    let up = row(&scope, "wait");
    assert_eq!(format!("{scope:?}"), r#"["wait"]"#);
    assert_eq!((up.calls, up.executions, up.shared), (4, 1, 0));
    assert_eq!((up.in_flight, up.waiting), (1, 3));

    calls[3].abort();
    settle().await;
    assert_eq!(row(&scope, "wait").waiting, 2);

    for call in calls {
        let _ = call.await;
    }
    let over = row(&scope, "wait");
    assert_eq!((over.calls, over.executions, over.shared), (4, 1, 2));
    assert_eq!((over.in_flight, over.waiting), (0, 0));
    assert_eq!(over.mean_size(), 3.0);
    assert_eq!((over.panics, rare(&over)), (0, (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_leader_is_counted_if_others_wait() {
    let scope = Scope::new();
    let call = |scope: Scope| tokio::spawn(async move { wait(&scope, 10).await });
    let alone = call(scope.clone());
    settle().await;
    alone.abort();
    settle().await;
    assert_eq!(rare(&row(&scope, "wait")), (0, 0, 0));

    let (leader, follower) = (call(scope.clone()), call(scope.clone()));
    settle().await;
    leader.abort();
    follower.await.unwrap();
    let row = row(&scope, "wait");
    assert_eq!((row.calls, row.executions, row.shared), (3, 3, 0));
    assert_eq!(rare(&row), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_leader_is_counted() {
    let scope = Scope::new();
    let mut leader = Box::pin(wait(&scope, 10));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(leader.as_mut().poll(&mut cx).is_pending());
    assert_eq!(wait(&scope, 10).await, 10);
    assert_eq!(leader.await, 10);
    let row = row(&scope, "wait");
    assert_eq!((row.calls, row.executions, row.shared), (2, 2, 0));
    assert_eq!(rare(&row), (0, 1, 0));
}

#[dedup(scope = scope, skip(depth), name = "nested")]
async fn nested(scope: &Scope, depth: u32) -> u32 {
    if depth == 0 {
        return 0;
    }
    boxed(scope, depth - 1).await + 1
}

fn boxed(scope: &Scope, depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send + '_>> {
    Box::pin(nested(scope, depth))
}

#[tokio::test(start_paused = true)]
async fn a_call_from_inside_its_own_execution_is_counted() {
    let scope = Scope::new();
    assert_eq!(nested(&scope, 2).await, 2);
    let row = row(&scope, "nested");
    assert_eq!((row.calls, row.executions, row.shared), (3, 3, 0));
    assert_eq!(rare(&row), (0, 0, 2));
}

#[dedup(scope = scope, max_followers = 1, name = "panics")]
async fn panics(scope: &Scope) -> u32 {
    tokio::task::yield_now().await;
    // Without the hook: while a backtrace is printed, others would stand still on this thread.
    std::panic::resume_unwind(Box::new("no"))
}

#[tokio::test(start_paused = true)]
async fn panics_are_counted_once_per_execution_also_beside_a_flight() {
    let scope = Scope::new();
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let scope = scope.clone();
            tokio::spawn(async move { panics(&scope).await })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap_err().is_panic());
    }
    let row = row(&scope, "panics");
    // One leads, one follows, one runs by itself.
    assert_eq!((row.calls, row.executions, row.shared), (3, 2, 1));
    assert_eq!(row.panics, 2);
}

#[dedup(scope = _scope, spawn, name = "spawned")]
async fn spawned(_scope: Scope, ms: u64) -> u64 {
    sleep(Duration::from_millis(ms)).await;
    ms
}

#[tokio::test(start_paused = true)]
async fn the_opener_of_a_spawned_flight_does_not_count_as_shared() {
    let scope = Scope::new();
    let call = |scope: Scope| tokio::spawn(spawned(scope, 10));
    let (opener, other) = (call(scope.clone()), call(scope.clone()));
    settle().await;
    let up = row(&scope, "spawned");
    assert_eq!(
        (up.calls, up.executions, up.shared, up.waiting),
        (2, 1, 0, 1)
    );
    opener.abort();
    settle().await;
    let up = row(&scope, "spawned");
    assert_eq!((up.shared, up.waiting), (0, 1));
    other.await.unwrap();
    let over = row(&scope, "spawned");
    assert_eq!((over.calls, over.executions, over.shared), (2, 1, 1));
    assert_eq!(rare(&over), (0, 0, 0));
}

/// A thread with a runtime of its own, which runs `first` and is shut down when told, with all that is on it.
fn on_a_runtime_that_dies<F: Future<Output = ()> + Send + 'static>(
    first: F,
) -> (mpsc::Sender<()>, std::thread::JoinHandle<()>) {
    let (die, dies) = mpsc::channel();
    let (up, is_up) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(first);
        runtime.block_on(async { sleep(Duration::from_millis(30)).await });
        up.send(()).unwrap();
        dies.recv().unwrap();
        drop(runtime);
    });
    is_up.recv().unwrap();
    (die, thread)
}

#[tokio::test]
async fn a_follower_that_restarts_the_task_does_not_count_as_shared() {
    let scope = Scope::new();
    let first = {
        let call = spawned(scope.clone(), 100);
        async move {
            call.await;
        }
    };
    let (die, thread) = on_a_runtime_that_dies(first);
    let mut follower = pin!(spawned(scope.clone(), 100));
    poll_fn(|cx| match follower.as_mut().poll(cx) {
        Poll::Pending => Poll::Ready(()),
        Poll::Ready(_) => panic!("it follows"),
    })
    .await;
    die.send(()).unwrap();
    thread.join().unwrap();
    assert_eq!(follower.await, 100);
    let row = row(&scope, "spawned");
    assert_eq!((row.calls, row.executions, row.shared), (2, 2, 0));
    assert_eq!(rare(&row), (1, 0, 0));
}

#[batch(size = 3, delay_ms = 10, scope = _scope, name = "save")]
async fn save(_scope: Scope, items: Vec<u32>) -> Vec<u32> {
    sleep(Duration::from_millis(5)).await;
    items
}

#[batch(
    size = 3,
    delay_ms = 10,
    scope = _scope,
    weight = |item| *item,
    max_weight = 10,
    unique = |item| *item,
    name = "limited"
)]
async fn limited(_scope: Scope, items: Vec<u64>) -> Vec<u64> {
    items
}

#[batch(size = 3, delay_ms = 10, scope = _scope, eager, name = "eager")]
async fn eager(_scope: Scope, items: Vec<u32>) -> Vec<u32> {
    items
}

#[tokio::test(start_paused = true)]
async fn before_the_first_bulk_call_the_mean_size_is_zero() {
    let scope = Scope::new();
    let call = tokio::spawn(save(scope.clone(), 1));
    settle().await;
    let waiting = row(&scope, "save");
    assert_eq!((waiting.calls, waiting.executions), (1, 0));
    assert_eq!(waiting.mean_size(), 0.0);
    call.await.unwrap();
    assert_eq!(row(&scope, "save").mean_size(), 1.0);
}

#[tokio::test(start_paused = true)]
async fn batches_are_counted_while_they_fill_and_run_and_after() {
    let scope = Scope::new();
    let calls: Vec<_> = (0..5)
        .map(|item| tokio::spawn(save(scope.clone(), item)))
        .collect();
    settle().await;
    let up = row(&scope, "save");
    assert_eq!((up.calls, up.executions, up.shared), (5, 1, 2));
    assert_eq!(
        (up.in_flight, up.waiting),
        (1, 2),
        "one runs, two are queued"
    );
    for call in calls {
        call.await.unwrap();
    }
    let over = row(&scope, "save");
    assert_eq!((over.calls, over.executions, over.shared), (5, 2, 3));
    assert_eq!((over.in_flight, over.waiting), (0, 0));
    assert_eq!(over.mean_size(), 2.5);
    assert_eq!(ways(&over), [1, 1, 0, 0, 0, 0]);
    match over.kind {
        Kind::Batch { items, largest, .. } => assert_eq!((items, largest), (5, 3)),
        _ => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn each_way_of_closing_is_counted() {
    let scope = Scope::new();
    let all = |items: &[u64]| {
        let calls: Vec<_> = items
            .iter()
            .map(|&item| tokio::spawn(limited(scope.clone(), item)))
            .collect();
        async move {
            for call in calls {
                call.await.unwrap();
            }
        }
    };
    all(&[6, 7]).await;
    assert_eq!(ways(&row(&scope, "limited")), [0, 1, 1, 0, 0, 0]);
    all(&[2, 2]).await;
    assert_eq!(ways(&row(&scope, "limited")), [0, 2, 1, 1, 0, 0]);
    all(&[1, 2, 3]).await;
    assert_eq!(ways(&row(&scope, "limited")), [1, 2, 1, 1, 0, 0]);

    let call = tokio::spawn(limited(scope.clone(), 1));
    settle().await;
    scope.flush().await;
    call.await.unwrap();
    assert_eq!(ways(&row(&scope, "limited")), [1, 2, 1, 1, 0, 1]);

    eager(scope.clone(), 1).await;
    assert_eq!(ways(&row(&scope, "eager")), [0, 0, 0, 0, 1, 0]);
}

#[batch(size = 2, delay_ms = 10, scope = _scope, name = "fails")]
async fn fails(_scope: Scope, items: Vec<u32>) -> Vec<u32> {
    if items.contains(&0) {
        panic!("no zero");
    }
    items.into_iter().skip(1).collect()
}

#[tokio::test(start_paused = true)]
async fn a_bulk_call_that_panics_or_gives_a_wrong_number_is_counted_once() {
    let scope = Scope::new();
    for (first, panics) in [(0, 1), (1, 2)] {
        let calls = [first, 2].map(|item| tokio::spawn(fails(scope.clone(), item)));
        for call in calls {
            assert!(call.await.unwrap_err().is_panic());
        }
        assert_eq!(row(&scope, "fails").panics, panics);
    }
}

#[tokio::test]
async fn a_batch_whose_runtime_is_shut_down_is_counted() {
    #[batch(size = 3, delay_ms = 200, scope = _scope, name = "slow")]
    async fn slow(_scope: Scope, items: Vec<u32>) -> Vec<u32> {
        items
    }
    let scope = Scope::new();
    let first = {
        let call = slow(scope.clone(), 1);
        async move {
            call.await;
        }
    };
    let (die, thread) = on_a_runtime_that_dies(first);
    let mut other = pin!(slow(scope.clone(), 2));
    poll_fn(|cx| Poll::Ready(other.as_mut().poll(cx).is_ready())).await;
    die.send(()).unwrap();
    thread.join().unwrap();
    assert_eq!(other.await, 2);
    let row = row(&scope, "slow");
    assert_eq!((row.executions, row.waiting), (1, 0));
    assert_eq!(tasks(&row), (1, 0));
}

#[tokio::test]
async fn a_batch_on_a_runtime_that_is_not_driven_is_counted() {
    let scope = Scope::new();
    let parked = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut first = Box::pin(save(scope.clone(), 1));
    {
        let _on = parked.enter();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(save(scope.clone(), 2).await, 2);
    assert_eq!(first.await, 1);
    let row = row(&scope, "save");
    assert_eq!(row.executions, 1);
    assert_eq!(tasks(&row), (0, 1));
    std::thread::spawn(move || drop(parked)).join().unwrap();
}

mod inside {
    use super::*;

    pub(super) struct Service<T>(pub(super) Scope, pub(super) T);

    impl<T: Clone + Send + Sync + 'static> Service<T> {
        #[dedup(scope = self.0)]
        pub(super) async fn find(&self, id: u32) -> u32 {
            let _ = &self.1;
            id
        }
    }

    #[dedup(scope = scope)]
    #[batch(size = 1, delay_ms = 1, scope = scope)]
    pub(super) async fn load(scope: Scope, ids: Vec<u32>) -> Vec<u32> {
        ids
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_one_row_per_function_sorted_by_path() {
    let scope = Scope::new();
    wait(&scope, 1).await;
    inside::load(scope.clone(), 1).await;
    // Two monomorphisations are one function.
    inside::Service(scope.clone(), 1u8).find(1).await;
    inside::Service(scope.clone(), "a").find(1).await;
    let rows = scope.stats().rows;
    let names: Vec<_> = rows
        .iter()
        .map(|row| (&*row.function, matches!(row.kind, Kind::Batch { .. })))
        .collect();
    assert_eq!(
        names,
        [
            ("stats::inside::Service::find", false),
            ("stats::inside::load", true),
            ("stats::inside::load", false),
            ("wait", false),
        ]
    );
    assert_eq!(rows[0].calls, 2);
    assert_eq!(Scope::new().stats().rows.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn functions_without_a_scope_are_in_the_global_one() {
    #[dedup(name = "a name of its own")]
    async fn global(id: u32) -> u32 {
        id
    }
    global(1).await;
    assert_eq!(row(&Scope::global(), "a name of its own").calls, 1);
}

#[tokio::test(start_paused = true)]
async fn the_table_is_aligned() {
    let scope = Scope::new();
    let waits = [1, 1, 2].map(|ms| {
        let scope = scope.clone();
        tokio::spawn(async move { wait(&scope, ms).await })
    });
    for call in waits {
        call.await.unwrap();
    }
    let saves: Vec<_> = (0..5)
        .map(|item| tokio::spawn(save(scope.clone(), item)))
        .collect();
    for call in saves {
        call.await.unwrap();
    }
    inside::Service(scope.clone(), 1u8).find(1).await;
    let table = scope.stats().to_string();
    assert_eq!(
        table,
        "\
function                      kind   calls  executions  shared  in flight  waiting  mean  notes
save                          batch      5           2       3          0        0   2.5  items 5, largest 3, by size 1, by delay 1
stats::inside::Service::find  dedup      1           1       0          0        0   1.0
wait                          dedup      3           2       1          0        0   1.5
"
    );
    assert_eq!(
        Stats::default().to_string(),
        "function  kind  calls  executions  shared  in flight  waiting  mean  notes\n"
    );
}

#[tokio::test]
async fn methods_with_forget_are_called_by_their_types() {
    struct Users<T>(T);
    struct Orders;
    impl<T> Users<T> {
        #[dedup(skip(self), forget = forget_found)]
        async fn found(&self, id: u64) -> u64 {
            let _ = &self.0;
            id
        }
    }
    impl Orders {
        #[dedup(skip(self), forget = forget_found)]
        async fn found(&self, id: u64) -> u64 {
            id
        }
    }
    Users(1).found(1).await;
    Users(1).forget_found(1);
    Orders.found(1).await;
    Orders.forget_found(1);
    let rows = Scope::global().stats().rows;
    let mut found = rows.iter().filter(|row| row.function.ends_with("::found"));
    let names = [found.next(), found.next()].map(|row| &*row.unwrap().function);
    assert!(
        names[0].ends_with("Orders::found") && names[1].ends_with("Users::found"),
        "{names:?}"
    );
    assert!(found.next().is_none());
}
