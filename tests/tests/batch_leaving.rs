//! Callers that go: before their bulk call begins they take their item along, later they change nothing.

mod bulk;

use bulk::{Log, begun, since, sleep_ms};
use piggyback::batch;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_in_time_is_never_written() {
    #[batch(size = 10, delay_ms = 10, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let log = Log::default();
    let (first, second, third) = (
        begun(save(&log, 1)).await,
        begun(save(&log, 2)).await,
        begun(save(&log, 3)).await,
    );
    drop(second);
    tokio::join!(first, third);
    assert_eq!(log.calls(), [[1, 3]]);
}

#[tokio::test(start_paused = true)]
async fn the_opener_may_leave_its_batch_to_the_others() {
    #[batch(size = 10, delay_ms = 10, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let log = Log::default();
    let opener = tokio::spawn({
        let log = log.clone();
        async move { save(&log, 1).await }
    });
    tokio::task::yield_now().await;
    let other = begun(save(&log, 2)).await;
    opener.abort();
    assert_eq!(other.await, 2);
    assert_eq!(log.calls(), [[2]]);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_batch_never_runs() {
    #[batch(size = 10, delay_ms = 10, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let log = Log::default();
    let (first, second) = (begun(save(&log, 1)).await, begun(save(&log, 2)).await);
    drop((second, first));
    sleep_ms(100).await;
    assert!(log.calls().is_empty());
    save(&log, 3).await;
    assert_eq!(log.calls(), [[3]]);
}

#[tokio::test(start_paused = true)]
async fn the_place_of_one_that_left_is_filled_again() {
    #[batch(size = 3, delay_ms = 10, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(save(&log, 1)).await;
    drop(begun(save(&log, 2)).await);
    let third = begun(save(&log, 3)).await;
    assert!(log.calls().is_empty());
    tokio::join!(first, third, save(&log, 4));
    assert_eq!(log.calls(), [[1, 3, 4]]);
    assert_eq!(since(start), 0);
}

#[tokio::test(start_paused = true)]
async fn the_place_in_a_batch_that_waits_for_a_slot_is_filled_again() {
    #[batch(size = 2, delay_ms = 10, concurrency = 1, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(100).await;
    }
    let (log, start) = (Log::default(), Instant::now());
    let (a, b) = (begun(save(&log, 1)).await, begun(save(&log, 2)).await);
    sleep_ms(1).await;
    let (c, d) = (begun(save(&log, 3)).await, begun(save(&log, 4)).await);
    sleep_ms(1).await;
    drop(c);
    let e = begun(save(&log, 5)).await;
    tokio::join!(a, b, d, e);
    assert_eq!(log.calls(), [[1, 2], [4, 5]]);
    assert_eq!(since(start), 200);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_a_running_bulk_call_changes_nothing_for_the_others() {
    #[batch(size = 3, delay_ms = 10, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        sleep_ms(50).await;
        ids
    }
    let log = Log::default();
    let (first, second, third) = (
        begun(save(&log, 1)).await,
        begun(save(&log, 2)).await,
        begun(save(&log, 3)).await,
    );
    sleep_ms(20).await;
    assert_eq!(log.calls(), [[1, 2, 3]]);
    drop(first);
    assert_eq!(tokio::join!(second, third), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_bulk_call_still_finishes() {
    #[batch(size = 2, delay_ms = 10, skip(done))]
    async fn save(done: &Log, ids: Vec<u64>) {
        sleep_ms(50).await;
        done.note(&ids);
    }
    let done = Log::default();
    let both = (begun(save(&done, 1)).await, begun(save(&done, 2)).await);
    sleep_ms(20).await;
    drop(both);
    sleep_ms(100).await;
    assert_eq!(done.calls(), [[1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_removes_its_item() {
    #[batch(size = 10, delay_ms = 10, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let log = Log::default();
    let impatient = tokio::time::timeout(bulk::ms(5), save(&log, 1));
    let (impatient, ()) = tokio::join!(impatient, save(&log, 2));
    assert!(impatient.is_err());
    assert_eq!(log.calls(), [[2]]);
}

#[tokio::test(start_paused = true)]
async fn queued_items_leave_with_their_callers() {
    #[batch(size = 2, delay_ms = 10, concurrency = 1, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(100).await;
    }
    let log = Log::default();
    let mut calls = Vec::new();
    for id in 0..7 {
        calls.push(begun(save(&log, id)).await);
    }
    sleep_ms(50).await;
    assert_eq!(log.calls(), [[0, 1]]);
    // One of the second batch, all of the third.
    let (c, e, f) = (calls.remove(2), calls.remove(3), calls.remove(3));
    drop((c, e, f));
    for call in calls {
        call.await;
    }
    // The place that is free is filled from behind.
    assert_eq!(log.calls(), [[0, 1], [3, 6]]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_behind_an_abandoned_one_gets_the_slot() {
    #[batch(size = 1, delay_ms = 10, concurrency = 1, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(100).await;
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(save(&log, 1)).await;
    sleep_ms(1).await;
    let second = begun(save(&log, 2)).await;
    let third = begun(save(&log, 3)).await;
    sleep_ms(1).await;
    drop(second);
    tokio::join!(first, third);
    assert_eq!(log.calls(), [[1], [3]]);
    assert_eq!(since(start), 200);
}

#[tokio::test(start_paused = true)]
async fn weight_goes_along() {
    #[batch(size = 10, delay_ms = 10, weight = |id| *id, max_weight = 10, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let (log, start) = (Log::default(), Instant::now());
    let heavy = begun(save(&log, 8)).await;
    let light = begun(save(&log, 1)).await;
    drop(heavy);
    tokio::join!(light, save(&log, 9));
    assert_eq!(log.calls(), [[1, 9]]);
    assert_eq!(since(start), 10);
}

#[tokio::test(start_paused = true)]
async fn a_unique_key_goes_along() {
    #[batch(size = 10, delay_ms = 10, unique = |(id, _)| *id, skip(log))]
    async fn save(log: &Log<(u64, char)>, rows: Vec<(u64, char)>) {
        log.note(&rows);
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(save(&log, (1, 'a'))).await;
    let other = begun(save(&log, (2, 'b'))).await;
    drop(first);
    tokio::join!(other, save(&log, (1, 'c')));
    assert_eq!(log.calls(), [[(2, 'b'), (1, 'c')]]);
    assert_eq!(since(start), 10);
}

#[tokio::test]
async fn ten_thousand_leave_at_once_without_delay() {
    #[batch(size = 100_000, delay_ms = 60_000, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let log = Log::default();
    let mut calls = Vec::new();
    for id in 0..10_000 {
        calls.push(begun(save(&log, id)).await);
    }
    let start = std::time::Instant::now();
    drop(calls);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    sleep_ms(1).await;
    assert!(log.calls().is_empty());
}
