//! When a batch runs: when it is full, or a delay after the arrival of its oldest item that still has a caller. Time is paused, so that
//! every bound is exact.

mod bulk;

use bulk::{Log, begun, since, sleep_ms};
use piggyback::batch;
use tokio::time::{Instant, advance};

#[tokio::test(start_paused = true)]
async fn a_lone_item_runs_after_the_delay_to_the_millisecond() {
    #[batch(size = 10, delay_ms = 17)]
    async fn echo(ids: Vec<u64>) -> Vec<u64> {
        ids
    }
    let start = Instant::now();
    assert_eq!(echo(1).await, 1);
    assert_eq!(since(start), 17);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_runs_at_once() {
    #[batch(size = 3, delay_ms = 1_000, skip(log))]
    async fn echo(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, start) = (Log::default(), Instant::now());
    assert_eq!(
        tokio::join!(echo(&log, 1), echo(&log, 2), echo(&log, 3)),
        (1, 2, 3)
    );
    assert_eq!(since(start), 0);
    assert_eq!(log.calls(), [[1, 2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn full_batches_run_at_once() {
    #[batch(size = 4, delay_ms = 1_000, skip(log))]
    async fn slow(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        sleep_ms(500).await;
        ids
    }
    let (log, start) = (Log::default(), Instant::now());
    let calls: Vec<_> = (0..400)
        .map(|id| {
            let log = log.clone();
            tokio::spawn(async move { assert_eq!(slow(&log, id).await, id) })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(since(start), 500);
    assert_eq!(log.sizes(), [4; 100]);
}

#[tokio::test(start_paused = true)]
async fn later_items_do_not_restart_the_delay() {
    #[batch(size = 100, delay_ms = 10, skip(log))]
    async fn echo(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(echo(&log, 0)).await;
    let mut others = Vec::new();
    for id in 1..=9 {
        sleep_ms(1).await;
        others.push(begun(echo(&log, id)).await);
    }
    first.await;
    assert_eq!(since(start), 10);
    assert_eq!(log.sizes(), [10]);
    for other in others {
        other.await;
    }
    assert_eq!(since(start), 10);
}

#[tokio::test(start_paused = true)]
async fn no_timer_of_an_earlier_batch_cuts_a_later_one_short() {
    #[batch(size = 2, delay_ms = 10)]
    async fn echo(ids: Vec<u64>) -> Vec<u64> {
        ids
    }
    // One waits for six milliseconds, and is then filled up.
    let first = begun(echo(1)).await;
    sleep_ms(6).await;
    tokio::join!(first, echo(2));
    // The next would be cut short at four.
    let start = Instant::now();
    echo(3).await;
    assert_eq!(since(start), 10);
    // And one that all callers have left.
    drop(begun(echo(4)).await);
    sleep_ms(5).await;
    let start = Instant::now();
    echo(5).await;
    assert_eq!(since(start), 10);
}

#[tokio::test(start_paused = true)]
async fn the_delay_counts_from_the_oldest_item_that_still_has_a_caller() {
    #[batch(size = 100, delay_ms = 10, skip(log))]
    async fn echo(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(echo(&log, 1)).await;
    sleep_ms(4).await;
    let second = begun(echo(&log, 2)).await;
    sleep_ms(3).await;
    let third = begun(echo(&log, 3)).await;
    drop(first);
    second.await;
    assert_eq!(since(start), 14);
    third.await;
    assert_eq!(since(start), 14);
    assert_eq!(log.calls(), [[2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn the_delay_counts_from_the_items_arrival_even_if_time_moves_first() {
    #[batch(size = 100, delay_ms = 10)]
    async fn echo(ids: Vec<u64>) -> Vec<u64> {
        ids
    }
    let start = Instant::now();
    let first = begun(echo(1)).await;
    advance(bulk::ms(5)).await;
    let second = begun(echo(2)).await;
    drop(first);
    second.await;
    assert_eq!(since(start), 15);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_that_a_caller_leaves_waits_for_its_own_delay() {
    #[batch(size = 2, delay_ms = 10, skip(log))]
    async fn echo(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(echo(&log, 1)).await;
    let second = begun(echo(&log, 2)).await;
    drop(first);
    second.await;
    assert_eq!(since(start), 10);
    assert_eq!(log.calls(), [[2]]);
}

#[tokio::test(start_paused = true)]
async fn a_call_begins_when_it_is_first_polled() {
    #[batch(size = 100, delay_ms = 10, skip(log))]
    async fn echo(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let log = Log::default();
    let made_early = echo(&log, 1);
    drop(echo(&log, 2));
    sleep_ms(50).await;
    assert!(log.calls().is_empty());
    let start = Instant::now();
    made_early.await;
    assert_eq!(since(start), 10);
    assert_eq!(log.calls(), [[1]]);
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_a_batch_takes_the_items_of_the_same_tick() {
    #[batch(size = 100, delay_ms = 0, skip(log))]
    async fn echo(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, start) = (Log::default(), Instant::now());
    assert_eq!(
        tokio::join!(echo(&log, 1), echo(&log, 2), echo(&log, 3)),
        (1, 2, 3)
    );
    assert_eq!(since(start), 0);
    assert_eq!(log.calls(), [[1, 2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn a_delay_without_end_leaves_it_to_the_size() {
    #[batch(size = 2, delay_ms = u64::MAX)]
    async fn echo(ids: Vec<u64>) -> Vec<u64> {
        ids
    }
    let first = begun(echo(1)).await;
    sleep_ms(86_400_000).await;
    assert_eq!(tokio::join!(first, echo(2)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn size_and_delay_are_read_when_a_batch_opens() {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
    static SIZE: AtomicUsize = AtomicUsize::new(2);
    static DELAY_MS: AtomicU64 = AtomicU64::new(10);

    #[batch(size = SIZE.load(Relaxed), delay_ms = DELAY_MS.load(Relaxed), skip(log))]
    async fn echo(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, start) = (Log::default(), Instant::now());
    let open = begun(echo(&log, 1)).await;
    SIZE.store(3, Relaxed);
    DELAY_MS.store(20, Relaxed);
    open.await;
    assert_eq!(since(start), 10);
    echo(&log, 2).await;
    assert_eq!(since(start), 30);
    tokio::join!(echo(&log, 3), echo(&log, 4), echo(&log, 5));
    assert_eq!(since(start), 30);
    assert_eq!(log.sizes(), [1, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_size_of_zero_counts_as_one() {
    #[batch(size = usize::MIN, delay_ms = 1_000, skip(log))]
    async fn echo(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let (log, start) = (Log::default(), Instant::now());
    tokio::join!(echo(&log, 1), echo(&log, 2));
    assert_eq!(since(start), 0);
    assert_eq!(log.sizes(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn items_come_in_the_order_of_their_calls() {
    #[batch(size = 64, delay_ms = 10, skip(log))]
    async fn echo(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let log = Log::default();
    let mut calls = Vec::new();
    for id in 0..200 {
        calls.push(begun(echo(&log, id)).await);
    }
    for (id, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await, id as u64);
    }
    // Full batches run side by side, so which begins first is open; what is in which is not.
    let mut calls = log.calls();
    calls.sort();
    assert_eq!(
        calls.iter().map(Vec::len).collect::<Vec<_>>(),
        [64, 64, 64, 8]
    );
    assert_eq!(calls.concat(), (0..200).collect::<Vec<_>>());
}
