//! `concurrency = n`: at most n bulk calls of a group at a time, the rest queues up in order. `eager`: no call waits for a
//! delay while nothing of the group runs. Together: group commit.

mod bulk;

use bulk::{Log, begun, since, sleep_ms};
use piggyback::batch;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn never_more_bulk_calls_at_a_time_than_allowed() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);

    #[batch(size = 5, delay_ms = 1, concurrency = 3, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        MOST.fetch_max(RUNNING.fetch_add(1, SeqCst) + 1, SeqCst);
        sleep_ms(100).await;
        RUNNING.fetch_sub(1, SeqCst);
        ids
    }
    let (log, start) = (Log::default(), Instant::now());
    let calls: Vec<_> = (0..60)
        .map(|id| tokio::spawn(save(log.clone(), id)))
        .collect();
    for (id, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), id as u64);
    }
    assert_eq!(MOST.load(SeqCst), 3);
    assert_eq!(since(start), 400);
    assert_eq!(log.sizes(), [5; 12]);
}

#[tokio::test(start_paused = true)]
async fn queued_batches_run_in_order() {
    #[batch(size = 2, delay_ms = 1, concurrency = 1, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(10).await;
    }
    let log = Log::default();
    let mut calls = Vec::new();
    for id in 0..9 {
        calls.push(begun(save(&log, id)).await);
        sleep_ms(1).await;
    }
    for call in calls {
        call.await;
    }
    assert!(log.calls().concat().is_sorted());
    assert_eq!(log.calls().concat().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_due_fills_up_while_it_waits_for_a_slot() {
    #[batch(size = 10, delay_ms = 5, concurrency = 1, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(100).await;
    }
    let (log, start) = (Log::default(), Instant::now());
    let mut calls = vec![begun(save(&log, 0)).await];
    sleep_ms(10).await;
    for id in 1..=8 {
        calls.push(begun(save(&log, id)).await);
        sleep_ms(10).await;
    }
    for call in calls {
        call.await;
    }
    assert_eq!(log.sizes(), [1, 8]);
    assert_eq!(since(start), 205);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_free_again_after_a_panic() {
    #[batch(size = 1, delay_ms = 1, concurrency = 1, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(10).await;
        assert_ne!(ids, [0]);
    }
    let log = Log::default();
    let calls: Vec<_> = (0..3)
        .map(|id| tokio::spawn(save(log.clone(), id)))
        .collect();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.is_ok());
    }
    assert_eq!(results, [false, true, true]);
    assert_eq!(log.calls(), [[0], [1], [2]]);
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_is_used_when_the_next_batch_opens() {
    static LIMIT: AtomicUsize = AtomicUsize::new(1);

    #[batch(size = 1, delay_ms = 1, concurrency = LIMIT.load(SeqCst), skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(100).await;
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(save(&log, 1)).await;
    sleep_ms(1).await;
    let second = begun(save(&log, 2)).await;
    sleep_ms(1).await;
    assert_eq!(log.calls().len(), 1);
    LIMIT.store(3, SeqCst);
    let third = begun(save(&log, 3)).await;
    tokio::join!(first, second, third);
    assert_eq!(log.calls().len(), 3);
    assert_eq!(since(start), 102);
}

#[tokio::test(start_paused = true)]
async fn an_eager_lone_call_runs_at_once() {
    #[batch(size = 10, delay_ms = 1_000, eager)]
    async fn echo(ids: Vec<u64>) -> Vec<u64> {
        ids
    }
    let start = Instant::now();
    for id in 0..5 {
        assert_eq!(echo(id).await, id);
    }
    assert_eq!(since(start), 0);
}

#[tokio::test(start_paused = true)]
async fn an_eager_call_takes_the_items_of_the_same_tick() {
    #[batch(size = 10, delay_ms = 1_000, eager, skip(log))]
    async fn echo(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, start) = (Log::default(), Instant::now());
    tokio::join!(echo(&log, 1), echo(&log, 2), echo(&log, 3));
    assert_eq!(since(start), 0);
    assert_eq!(log.calls(), [[1, 2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn calls_during_an_eager_bulk_call_become_the_next_one() {
    #[batch(size = 100, delay_ms = 1_000, eager, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(40).await;
    }
    let (log, start) = (Log::default(), Instant::now());
    let mut calls = vec![begun(save(&log, 0)).await];
    sleep_ms(1).await;
    for id in 1..=30 {
        calls.push(begun(save(&log, id)).await);
        sleep_ms(1).await;
    }
    for call in calls {
        call.await;
    }
    assert_eq!(log.sizes(), [1, 30]);
    assert_eq!(since(start), 80);
}

#[tokio::test(start_paused = true)]
async fn the_delay_bounds_the_wait_for_an_eager_call_that_runs() {
    #[batch(size = 100, delay_ms = 10, eager, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(50).await;
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(save(&log, 1)).await;
    sleep_ms(1).await;
    save(&log, 2).await;
    assert_eq!(since(start), 61);
    first.await;
    assert_eq!(log.calls(), [[1], [2]]);
}

#[tokio::test(start_paused = true)]
async fn eager_calls_continue_after_all_callers_left() {
    #[batch(size = 100, delay_ms = 1_000, eager, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(40).await;
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(save(&log, 1)).await;
    sleep_ms(1).await;
    drop(first);
    drop(begun(save(&log, 2)).await);
    save(&log, 3).await;
    assert_eq!(since(start), 80);
    assert_eq!(log.calls(), [[1], [3]]);
}

#[tokio::test(start_paused = true)]
async fn group_commit_runs_one_call_at_a_time_and_the_rest_in_the_next() {
    #[batch(size = 1_000, delay_ms = 1_000, eager, concurrency = 1, skip(log))]
    async fn commit(log: Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(10).await;
    }
    let (log, start) = (Log::default(), Instant::now());
    // One call a millisecond, for a hundred.
    let calls: Vec<_> = (0..100)
        .map(|id| {
            let log = log.clone();
            tokio::spawn(async move {
                sleep_ms(id).await;
                let came = Instant::now();
                commit(log, id).await;
                since(came)
            })
        })
        .collect();
    for call in calls {
        let took = call.await.unwrap();
        assert!(
            took <= 20,
            "{took} ms: longer than what was running, and its own"
        );
    }
    assert!(since(start) <= 120);
    assert!(log.calls().len() <= 12, "{:?}", log.sizes());
    assert_eq!(log.calls().concat(), (0..100).collect::<Vec<_>>());
}
