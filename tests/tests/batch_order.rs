//! `sort_by`: a bulk call gets its items in order, and each caller its own result.

mod bulk;

use std::collections::HashMap;

use bulk::Log;
use piggyback::{batch, dedup};
use piggyback_tests::by_hand::Count;

#[tokio::test(start_paused = true)]
async fn items_are_sorted_and_each_caller_gets_its_own_result() {
    #[batch(size = 10, delay_ms = 1, sort_by = |id| *id, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids.into_iter().map(|id| id * 10).collect()
    }
    let log = Log::default();
    let all = tokio::join!(save(&log, 3), save(&log, 1), save(&log, 2), save(&log, 1));
    assert_eq!(all, (30, 10, 20, 10));
    assert_eq!(log.calls(), [[1, 1, 2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn equal_items_keep_their_order_in_parallel_lists() {
    #[batch(size = 10, delay_ms = 1, items(names, ids), by_ref, sort_by = |(name, _)| name, skip(log))]
    async fn save(log: &Log<String>, names: &[&str], ids: &[u64]) -> Result<Vec<u64>, String> {
        let rows: Vec<_> = names
            .iter()
            .zip(ids)
            .map(|(name, id)| format!("{name}{id}"))
            .collect();
        log.note(&rows);
        Ok(ids.to_vec())
    }
    let log = Log::default();
    let all = tokio::join!(
        save(&log, "b", &1),
        save(&log, "a", &3),
        save(&log, "b", &0),
        save(&log, "a", &2)
    );
    assert_eq!(all, (Ok(1), Ok(3), Ok(0), Ok(2)));
    assert_eq!(log.calls(), [["a3", "a2", "b1", "b0"]]);
}

#[tokio::test(start_paused = true)]
async fn the_closure_runs_once_per_item() {
    static RUNS: Count = Count::new();
    #[batch(size = 10, delay_ms = 1, sort_by = |id| { RUNS.next(); std::cmp::Reverse(*id) }, unique = |id| *id, weight = |_| 1_u64, max_weight = 10)]
    async fn save(ids: Vec<u64>) -> Vec<u64> {
        assert_eq!(ids, [3, 2, 1]);
        ids
    }
    assert_eq!(tokio::join!(save(2), save(3), save(1)), (2, 3, 1));
    assert_eq!(RUNS.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn halves_of_a_split_are_sorted() {
    #[batch(size = 10, delay_ms = 1, sort_by = |id| *id, split_on_err, skip(log))]
    async fn save(log: Log, ids: &[u64]) -> Result<Vec<u64>, u64> {
        log.note(ids);
        if ids.contains(&3) {
            Err(3)
        } else {
            Ok(ids.to_vec())
        }
    }
    let log = Log::default();
    let call = |id| save(log.clone(), id);
    let all = tokio::join!(call(4), call(3), call(1), call(2));
    assert_eq!(all, (Ok(4), Err(3), Ok(1), Ok(2)));
    assert!(log.calls().iter().all(|items| items.is_sorted()), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sorted_loader_finds_results_by_item() {
    #[dedup]
    #[batch(size = 10, delay_ms = 1, sort_by = |id| *id)]
    async fn name(ids: Vec<u64>) -> HashMap<u64, String> {
        assert_eq!(ids, [1, 2]);
        ids.into_iter().map(|id| (id, id.to_string())).collect()
    }
    let (a, b, c) = tokio::join!(name(2), name(1), name(2));
    assert_eq!([a, b, c].map(Option::unwrap), ["2", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_closure_is_that_callers() {
    #[batch(size = 10, delay_ms = 1, sort_by = |id| { assert_ne!(*id, 2, "no twos"); *id })]
    async fn save(ids: Vec<u64>) -> Vec<u64> {
        ids
    }
    let calls = [1, 2, 3].map(|id| tokio::spawn(save(id)));
    let mut served = Vec::new();
    for call in calls {
        served.push(call.await.ok());
    }
    assert_eq!(served, [Some(1), None, Some(3)]);
}
