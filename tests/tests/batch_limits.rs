//! The limits of one bulk call: at most `size` items, at most `max_weight` in all, and no two items with equal `unique` values.

mod bulk;

use bulk::{Log, begun, since};
use piggyback::batch;
use piggyback_tests::by_hand::Count;
use tokio::time::Instant;

#[tokio::test]
async fn never_more_than_size_items_whoever_comes_and_goes() {
    #[batch(size = 8, delay_ms = 1, skip(log))]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let log = Log::default();
    let calls: Vec<_> = (0..2_000)
        .map(|id| {
            let call = tokio::spawn(save(log.clone(), id));
            if id % 7 == 0 {
                call.abort();
            }
            call
        })
        .collect();
    for (id, call) in calls.into_iter().enumerate() {
        if let Ok(result) = call.await {
            assert_eq!(result, id as u64);
        }
    }
    assert!(log.sizes().iter().all(|size| (1..=8).contains(size)));
}

#[tokio::test]
async fn limits_are_read_when_a_batch_opens_and_not_for_every_item() {
    static READ: Count = Count::new();
    #[batch(size = { READ.next(); 3 }, delay_ms = 1)]
    async fn save(ids: Vec<u64>) -> Vec<u64> {
        ids
    }
    let calls: Vec<_> = (0..6).map(|id| tokio::spawn(save(id))).collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(READ.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn weights_add_up_to_no_more_than_allowed() {
    #[batch(size = 100, delay_ms = 10, weight = |bytes: &String| bytes.len(), max_weight = 10, skip(log))]
    async fn send(log: Log<String>, bytes: Vec<String>) {
        log.note(&bytes);
    }
    let log = Log::default();
    let calls: Vec<_> = (0..50)
        .map(|n| tokio::spawn(send(log.clone(), "x".repeat(n % 7))))
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    for call in log.calls() {
        assert!(
            call.iter().map(String::len).sum::<usize>() <= 10,
            "{call:?}"
        );
    }
    assert_eq!(log.calls().concat().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_does_not_fit_closes_the_batch_and_opens_the_next() {
    #[batch(size = 100, delay_ms = 10, weight = |id| *id, max_weight = 10, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(save(&log, 6)).await;
    let second = begun(save(&log, 4)).await;
    let third = begun(save(&log, 1)).await;
    tokio::join!(first, second);
    assert_eq!(since(start), 0);
    third.await;
    assert_eq!(since(start), 10);
    assert_eq!(log.calls(), [vec![6, 4], vec![1]]);
}

#[tokio::test(start_paused = true)]
async fn an_oversize_item_runs_alone_and_at_once() {
    #[batch(size = 100, delay_ms = 1_000, weight = |id| *id, max_weight = 10, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let (log, start) = (Log::default(), Instant::now());
    let small = begun(save(&log, 1)).await;
    let huge = begun(save(&log, u64::MAX)).await;
    let after = begun(save(&log, 2)).await;
    tokio::join!(small, huge);
    assert_eq!(since(start), 0);
    after.await;
    let mut calls = log.calls();
    calls.sort();
    assert_eq!(calls, [[1], [2], [u64::MAX]]);
}

#[tokio::test(start_paused = true)]
async fn two_equal_items_are_never_in_one_batch() {
    type Row = (u64, char);
    #[batch(size = 100, delay_ms = 10, concurrency = 1, unique = |row: &Row| row.0, skip(log))]
    async fn upsert(log: &Log<Row>, rows: Vec<Row>) -> Vec<char> {
        log.note(&rows);
        rows.iter().map(|row| row.1).collect()
    }
    let (log, start) = (Log::default(), Instant::now());
    let results = tokio::join!(
        upsert(&log, (1, 'a')),
        upsert(&log, (2, 'b')),
        upsert(&log, (1, 'c')),
        upsert(&log, (3, 'd')),
        upsert(&log, (1, 'e')),
    );
    assert_eq!(results, ('a', 'b', 'c', 'd', 'e'));
    assert_eq!(
        log.calls(),
        [
            vec![(1, 'a'), (2, 'b')],
            vec![(1, 'c'), (3, 'd')],
            vec![(1, 'e')]
        ]
    );
    assert_eq!(since(start), 10);
}

#[tokio::test(start_paused = true)]
async fn equal_hashes_do_not_make_equal_keys() {
    #[derive(Clone, PartialEq, Eq, Debug)]
    struct SameHash(u64);
    impl std::hash::Hash for SameHash {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            0_u8.hash(state);
        }
    }
    #[batch(size = 100, delay_ms = 10, unique = |id: &SameHash| id.clone(), skip(log))]
    async fn save(log: &Log<SameHash>, ids: Vec<SameHash>) {
        log.note(&ids);
    }
    let log = Log::default();
    tokio::join!(
        save(&log, SameHash(1)),
        save(&log, SameHash(2)),
        save(&log, SameHash(3))
    );
    assert_eq!(log.sizes(), [3]);
}
