//! Bodies and bulk calls that call other annotated functions: nothing waits for itself, and the cost is that of the calls.

mod bulk;

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bulk::{Log, sleep_ms};
use futures_util::future::join_all;
use piggyback::{Scope, batch, dedup};
use tokio::sync::Notify;

type Call<T = u64> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Much longer than anything here takes: what does not end in this time hangs.
async fn ends<T>(call: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(20), call).await;
    ended.expect("it hangs")
}

/// Once, each level kept a list of all that waited for it, and each list was the product of those above: 4 levels of 100
/// took a minute and gigabytes.
#[tokio::test]
async fn loaders_that_call_loaders_cost_what_their_calls_cost() {
    const IDS: u64 = 1_000;
    static CALLS: AtomicUsize = AtomicUsize::new(0);

    macro_rules! level {
        ($(#[$dedup:meta])* $name:ident, $next:ident) => {
            $(#[$dedup])*
            #[batch(size = 1_000, delay_ms = 50)]
            async fn $name(ids: Vec<u64>) -> Vec<u64> {
                CALLS.fetch_add(1, SeqCst);
                join_all(ids.into_iter().map($next)).await
            }
        };
    }
    #[batch(size = 1_000, delay_ms = 50)]
    async fn last(ids: Vec<u64>) -> Vec<u64> {
        CALLS.fetch_add(1, SeqCst);
        ids
    }
    level!(second, last);
    level!(
        #[dedup]
        third,
        second
    );
    level!(
        #[dedup]
        fourth,
        third
    );
    level!(fifth, fourth);

    #[dedup]
    async fn page(ids: u64) -> u64 {
        join_all((0..ids).map(fifth)).await.iter().sum()
    }
    assert_eq!(ends(page(IDS)).await, IDS * (IDS - 1) / 2);
    assert_eq!(CALLS.load(SeqCst), 5, "a bulk call for each level");
}

#[tokio::test]
async fn a_bulk_call_that_calls_its_own_function_ends() {
    #[batch(size = 10, delay_ms = 1, concurrency = 1)]
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
    assert_eq!(ends(depth(1)).await, 1, "and the group goes on");
}

/// Without a delay, the next batch starts only when it is full or when no bulk call is running.
#[tokio::test]
async fn an_eager_bulk_call_that_calls_its_own_function_ends() {
    #[batch(size = 10, eager)]
    async fn depth(levels: Vec<u64>) -> Vec<u64> {
        join_all(levels.into_iter().map(below)).await
    }
    #[batch(size = 10, eager)]
    async fn between(levels: Vec<u64>) -> Vec<u64> {
        join_all(levels.into_iter().map(depth)).await
    }
    fn below(level: u64) -> Call {
        Box::pin(async move {
            match level {
                0 => 0,
                odd if odd % 2 == 1 => depth(level - 1).await + 1,
                _ => between(level - 1).await + 1,
            }
        })
    }
    assert_eq!(ends(depth(20)).await, 20);
    let several = ends(join_all([3, 5, 0, 7].map(depth))).await;
    assert_eq!(several, [3, 5, 0, 7]);
    assert_eq!(ends(depth(1)).await, 1, "and the group goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_call_that_calls_its_own_function_through_others_ends() {
    #[batch(size = 10, delay_ms = 1, concurrency = 1)]
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
    #[batch(size = 10, delay_ms = 1, concurrency = 1)]
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
}

#[tokio::test]
async fn a_bulk_call_that_writes_the_row_it_is_writing_ends() {
    #[batch(size = 10, delay_ms = 1, unique = |row| row.0)]
    async fn write(rows: Vec<(u64, u64)>) -> Vec<u64> {
        join_all(rows.into_iter().map(again)).await
    }
    fn again((id, times): (u64, u64)) -> Call {
        Box::pin(async move {
            if times == 0 {
                0
            } else {
                write((id, times - 1)).await + 1
            }
        })
    }
    assert_eq!(ends(write((1, 3))).await, 3);
}

/// The batch is queued behind the bulk call, and joined by an execution that the bulk call follows only later.
#[tokio::test]
async fn a_bulk_call_that_waits_for_a_batch_behind_it_through_a_flight_ends() {
    static GO: Notify = Notify::const_new();
    static RUNS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

    #[batch(size = 1, delay_ms = 1, concurrency = 1)]
    async fn save(ids: Vec<u64>) -> Vec<u64> {
        RUNS.lock().unwrap().extend(&ids);
        match ids[..] {
            [0] => {
                GO.notified().await;
                vec![boxed().await]
            }
            _ => ids,
        }
    }
    fn boxed() -> Call {
        Box::pin(flight())
    }
    #[dedup]
    async fn flight() -> u64 {
        save(7).await
    }
    let outer = tokio::spawn(save(0));
    sleep_ms(20).await;
    let flight = tokio::spawn(flight());
    sleep_ms(20).await;
    let beside = tokio::spawn(save(8));
    sleep_ms(20).await;
    assert_eq!(*RUNS.lock().unwrap(), [0], "one at a time");
    GO.notify_one();
    assert_eq!(ends(outer).await.unwrap(), 7);
    assert_eq!(ends(flight).await.unwrap(), 7);
    assert_eq!(ends(beside).await.unwrap(), 8);
}

#[tokio::test]
async fn a_call_that_is_carried_into_another_execution_does_not_wait_for_it() {
    #[dedup]
    async fn user(id: u64) -> u64 {
        match id {
            0 => {
                let call = CARRIED.lock().unwrap().take().unwrap();
                call.await + 1
            }
            _ => 100,
        }
    }
    static CARRIED: Mutex<Option<Call>> = Mutex::new(None);

    // It follows the first call before that has begun its body.
    let mut leads: Call = Box::pin(async {
        tokio::task::yield_now().await;
        page().await
    });
    #[dedup]
    async fn page() -> u64 {
        tokio::task::yield_now().await;
        user(0).await
    }
    assert!(bulk::poll_once(&mut leads).await.is_pending());
    assert!(bulk::poll_once(&mut leads).await.is_pending());
    let mut carried: Call = Box::pin(page());
    assert!(
        bulk::poll_once(&mut carried).await.is_pending(),
        "it follows"
    );
    let runs_beside: Call = Box::pin(async move {
        // Polled inside of the page from now on, it runs the body by itself: which then is another user.
        tokio::select! {
            _ = carried => 5,
            () = sleep_ms(1_000) => 0,
        }
    });
    *CARRIED.lock().unwrap() = Some(runs_beside);
    // The body of the carried call finds nothing to carry, and panics: so it ran, and did not wait.
    let ended = tokio::spawn(ends(leads)).await;
    assert!(ended.is_err() || ended.unwrap() > 0);
}

#[tokio::test]
async fn a_wait_that_began_in_one_execution_and_goes_on_in_another_is_not_for_that_one() {
    static CARRIED: Mutex<Option<Call>> = Mutex::new(None);
    static GO: Notify = Notify::const_new();
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[dedup]
    async fn user() -> u64 {
        if RUNS.fetch_add(1, SeqCst) > 0 {
            return 1;
        }
        order().await + 1
    }
    fn boxed() -> Call {
        Box::pin(user())
    }
    #[dedup]
    async fn order() -> u64 {
        GO.notified().await;
        let carried = CARRIED.lock().unwrap().take().unwrap();
        carried.await
    }
    #[dedup]
    async fn page() {
        let mut call = boxed();
        assert!(bulk::poll_once(&mut call).await.is_pending(), "it follows");
        *CARRIED.lock().unwrap() = Some(call);
    }
    let orders = tokio::spawn(async { order().await });
    sleep_ms(5).await;
    let leads = tokio::spawn(boxed());
    sleep_ms(5).await;
    // The call waits for the user inside of the page first, and then inside of the order, for which the user waits.
    page().await;
    GO.notify_one();
    assert_eq!(ends(leads).await.unwrap(), 2);
    assert_eq!(ends(orders).await.unwrap(), 1);
}

/// The batch of the flight's item is given to the bulk call that then follows the flight.
#[tokio::test]
async fn a_bulk_call_that_took_an_item_from_behind_it_does_not_wait_for_the_items_waiter() {
    static GO: Notify = Notify::const_new();
    static RUNS: Mutex<Vec<Vec<u64>>> = Mutex::new(Vec::new());

    #[batch(size = 10, delay_ms = 60_000, concurrency = 1, scope = scope.clone(), skip(scope))]
    async fn save(scope: &Scope, ids: Vec<u64>) -> Vec<u64> {
        RUNS.lock().unwrap().push(ids.clone());
        match ids[0] {
            0 => GO.notified().await,
            1 => assert_eq!(boxed(scope.clone()).await, 2),
            _ => {}
        }
        ids
    }
    fn boxed(scope: Scope) -> Call {
        Box::pin(async move { flight(&scope).await })
    }
    #[dedup(skip(scope))]
    async fn flight(scope: &Scope) -> u64 {
        save(scope, 2).await
    }
    let scope = Scope::new();
    let call = |id| {
        let scope = scope.clone();
        tokio::spawn(async move { save(&scope, id).await })
    };
    let mut calls = Vec::new();
    for id in [0, 1] {
        calls.push(call(id));
        sleep_ms(5).await;
        let mut flush = Box::pin(scope.flush());
        assert!(bulk::poll_once(&mut flush).await.is_pending());
        sleep_ms(5).await;
    }
    let flight = tokio::spawn(boxed(scope.clone()));
    sleep_ms(5).await;
    GO.notify_one();
    assert_eq!(ends(flight).await.unwrap(), 2);
    for call in calls {
        ends(call).await.unwrap();
    }
    assert_eq!(*RUNS.lock().unwrap(), [vec![0], vec![1, 2], vec![2]]);
}

#[tokio::test]
async fn a_flush_in_a_bulk_call_ends() {
    #[batch(size = 2, delay_ms = 1, concurrency = 1, scope = scope, skip(log))]
    async fn save(scope: Scope, log: Log, ids: Vec<u64>) {
        sleep_ms(5).await;
        scope.flush().await;
        log.note(&ids);
    }
    let (scope, log) = (Scope::new(), Log::default());
    let calls = (0..7).map(|id| save(scope.clone(), log.clone(), id));
    ends(join_all(calls)).await;
    assert_eq!(log.calls().concat(), [0, 1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn nothing_waits_for_a_dropped_flush() {
    static GO: Notify = Notify::const_new();
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[batch(size = 1, eager, scope = scope)]
    async fn save(scope: Scope, ids: Vec<u64>) -> Vec<u64> {
        GO.notified().await;
        let _ = flight(scope).await;
        ids
    }
    #[dedup(skip(scope))]
    async fn flight(scope: Scope) {
        RUNS.fetch_add(1, SeqCst);
        let flush = tokio::time::timeout(Duration::from_millis(5), scope.flush());
        assert!(flush.await.is_err(), "the bulk call runs");
        GO.notify_one();
        sleep_ms(50).await;
    }
    let scope = Scope::new();
    let saves = tokio::spawn(save(scope.clone(), 1));
    sleep_ms(5).await;
    flight(scope).await;
    assert_eq!(ends(saves).await.unwrap(), 1);
    assert_eq!(RUNS.load(SeqCst), 1, "the bulk call follows the flight");
}

#[tokio::test]
async fn a_flush_in_an_execution_that_a_bulk_call_waits_for_ends() {
    #[batch(size = 2, delay_ms = 1, name = "flushes", scope = scope)]
    async fn save(scope: Scope, ids: Vec<u64>) {
        drop(ids);
        flight(scope).await;
    }
    #[dedup(spawn, skip(scope))]
    async fn flight(scope: Scope) {
        sleep_ms(5).await;
        scope.flush().await;
    }
    let scope = Scope::new();
    ends(save(scope.clone(), 1)).await;
    // An outer call that waits for none of the inner ones waits for all.
    ends(async { tokio::join!(save(scope.clone(), 1), scope.flush()) }).await;
}
