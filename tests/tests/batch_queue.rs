//! The queue of a group under load: places are filled again, order is kept, and nothing costs more than it should.

mod bulk;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bulk::{Log, begun, ms, sleep_ms};
use futures_util::future::join_all;
use piggyback::batch;

#[tokio::test(start_paused = true)]
async fn the_places_of_callers_that_left_are_filled_behind_a_running_bulk_call() {
    #[batch(size = 100, delay_ms = 10, concurrency = 1, skip(log))]
    async fn save(log: Log, rows: Vec<u64>) -> Vec<u64> {
        log.note(&rows);
        sleep_ms(if rows == [0] { 1_000 } else { 50 }).await;
        rows
    }
    let log = Log::default();
    let first = tokio::spawn(save(log.clone(), 0));
    sleep_ms(20).await;
    let mut patient = Vec::new();
    for row in 1..=10_000 {
        let call = save(log.clone(), row);
        if row % 100 == 0 {
            patient.push((row, tokio::spawn(call)));
        } else {
            tokio::spawn(tokio::time::timeout(ms(500), call));
        }
    }
    sleep_ms(800).await;
    for row in 10_001..=10_100 {
        patient.push((row, tokio::spawn(save(log.clone(), row))));
    }
    first.await.unwrap();
    for (row, call) in patient {
        assert_eq!(call.await.unwrap(), row, "each gets its own");
    }
    assert_eq!(log.sizes(), [1, 100, 100]);
    assert!(
        log.calls().concat().is_sorted(),
        "in the order in which they came"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_topped_up_within_its_limits() {
    #[batch(size = 4, delay_ms = 1, concurrency = 1, weight = |row| row.0, max_weight = 10, unique = |row| row.1, skip(log))]
    async fn save(log: Log<(u64, u64)>, rows: Vec<(u64, u64)>) -> Vec<u64> {
        log.note(&rows);
        sleep_ms(10).await;
        rows.iter().map(|row| row.0 * 100 + row.1).collect()
    }
    let log = Log::default();
    let first = begun(save(log.clone(), (1, 0))).await;
    sleep_ms(5).await;
    // Two batches: the second is opened by a value that the first has.
    let mut calls = Vec::new();
    for row in [(2, 1), (3, 2), (2, 1), (9, 3), (1, 4)] {
        calls.push((row, begun(save(log.clone(), row)).await));
    }
    // The first value is free, and so is its place.
    let (_, left) = calls.remove(0);
    drop(left);
    first.await;
    for (row, call) in calls {
        assert_eq!(call.await, row.0 * 100 + row.1);
    }
    let expected: [&[(u64, u64)]; 3] = [&[(1, 0)], &[(3, 2), (2, 1)], &[(9, 3), (1, 4)]];
    assert_eq!(log.calls(), expected);
}

/// Whatever the order, with others left in between.
#[tokio::test]
async fn callers_that_leave_in_any_order_remove_only_their_own_items() {
    #[batch(size = 100_000, delay_ms = 3_600_000, skip(log))]
    async fn save(log: &Log, rows: Vec<u64>) -> Vec<u64> {
        log.note(&rows);
        rows
    }
    const CALLERS: u64 = 50_000;
    let log = Log::default();
    let mut calls = Vec::new();
    for row in 0..CALLERS {
        calls.push(Some(begun(save(&log, row)).await));
    }
    // Oldest first, newest first, and every third in between: a step that moved all others would take minutes.
    for row in (0..20_000)
        .chain((40_000..CALLERS).rev())
        .chain((20_000..40_000).step_by(3))
    {
        drop(calls[row as usize].take());
    }
    let rest: Vec<u64> = (20_000..40_000).filter(|row| row % 3 != 2).collect();
    let (served, ()) = tokio::join!(
        join_all(calls.into_iter().flatten()),
        piggyback::Scope::flush_all()
    );
    assert_eq!(served, rest);
    assert_eq!(log.calls(), [rest]);
}

#[tokio::test(start_paused = true)]
async fn equal_unique_values_run_in_the_order_in_which_they_came() {
    static STORED: Mutex<Option<HashMap<u64, u64>>> = Mutex::new(None);
    static RUNNING: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    #[batch(size = 100, delay_ms = 5, unique = |row| row.0)]
    async fn upsert(rows: Vec<(u64, u64)>) {
        for (id, _) in &rows {
            let mut running = RUNNING.lock().unwrap();
            assert!(!running.contains(id), "two bulk calls write a row");
            running.push(*id);
        }
        // The more rows, the longer: a later batch could overtake.
        sleep_ms(rows.len() as u64).await;
        RUNNING
            .lock()
            .unwrap()
            .retain(|id| rows.iter().all(|row| row.0 != *id));
        STORED.lock().unwrap().get_or_insert_default().extend(rows);
    }
    let mut calls = Vec::new();
    for round in 0..100 {
        for id in 0..40 {
            calls.push(tokio::spawn(upsert((id, round))));
        }
        sleep_ms(round % 7).await;
    }
    for call in calls {
        call.await.unwrap();
    }
    let stored = STORED.lock().unwrap().take().unwrap();
    assert!((0..40).all(|id| stored[&id] == 99), "the last write wins");
}

#[tokio::test(start_paused = true)]
async fn batches_that_share_no_value_pass_one_another() {
    #[batch(size = 2, delay_ms = 1, unique = |row| row.0, skip(log))]
    async fn upsert(log: Log<(u64, u64)>, rows: Vec<(u64, u64)>) {
        sleep_ms(rows[0].1).await;
        log.note(&rows);
    }
    let log = Log::default();
    let rows = [(1, 100), (1, 5), (2, 5), (3, 1)];
    join_all(rows.map(|row| upsert(log.clone(), row))).await;
    let ended: Vec<_> = log.calls().concat();
    let at = |row| ended.iter().position(|it| *it == row).unwrap();
    assert!(at((1, 100)) < at((1, 5)), "{ended:?}");
    assert!(at((3, 1)) < at((1, 100)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn removing_a_limit_runs_all_batches_that_waited_for_it() {
    static LIMIT: AtomicUsize = AtomicUsize::new(1);
    #[batch(size = 1, delay_ms = 1, concurrency = LIMIT.load(SeqCst), skip(log))]
    async fn save(log: &Log, rows: Vec<u64>) {
        log.note(&rows);
        sleep_ms(10_000).await;
    }
    for limit in [usize::MAX, 100] {
        LIMIT.store(1, SeqCst);
        let log = Log::default();
        let mut calls = Vec::new();
        for row in 0..5 {
            calls.push(begun(save(&log, row)).await);
        }
        sleep_ms(20).await;
        assert_eq!(log.calls().len(), 1);
        LIMIT.store(limit, SeqCst);
        calls.push(begun(save(&log, 5)).await);
        sleep_ms(20).await;
        assert_eq!(log.calls().concat(), [0, 1, 2, 3, 4, 5], "{limit}");
        join_all(calls).await;
    }
}

/// A database that hangs, and callers that give up: what they have in memory is given back, though the bulk call goes on.
#[tokio::test]
async fn a_caller_that_left_a_running_batch_leaves_no_task_behind() {
    #[batch(size = 1, delay_ms = 1)]
    async fn save(rows: Vec<u64>) {
        std::future::pending::<()>().await;
        drop(rows);
    }
    struct Alive(std::sync::Arc<()>);
    let alive = std::sync::Arc::new(());
    let in_task = Alive(alive.clone());
    let call = tokio::spawn(async move {
        let _in_task = &in_task.0;
        save(1).await;
    });
    sleep_ms(50).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(std::sync::Arc::strong_count(&alive), 1);
}
