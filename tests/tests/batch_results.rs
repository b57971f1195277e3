//! The results of a bulk function find their callers.

mod bulk;

use bulk::{Log, begun, panic_of};
use piggyback::{batch, dedup};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// An error that is not `Clone`.
#[derive(Debug, PartialEq)]
enum AppError {
    Bad(u64),
    Shared(Arc<AppError>),
}

#[tokio::test(start_paused = true)]
async fn nothing_for_nothing() {
    #[batch(size = 10, delay_ms = 5, skip(log))]
    async fn save(log: &Log, ids: &[u64]) {
        log.note(ids);
    }
    let log = Log::default();
    let ((), ()) = tokio::join!(save(&log, 1), save(&log, 2));
    assert_eq!(log.calls(), [[1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn each_caller_gets_its_element_of_a_list_even_when_some_left() {
    #[batch(size = 10, delay_ms = 5)]
    async fn double(ids: Vec<u64>) -> Vec<u64> {
        ids.iter().map(|id| id * 2).collect()
    }
    let mut calls = Vec::new();
    for id in 0..8 {
        calls.push((id, begun(double(id)).await));
    }
    calls.retain(|(id, _)| id % 3 != 0);
    for (id, call) in calls {
        assert_eq!(call.await, id * 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_map_gives_each_caller_the_value_of_its_item_if_any() {
    #[batch(size = 10, delay_ms = 5)]
    async fn find(ids: Vec<u64>) -> HashMap<u64, String> {
        ids.iter()
            .filter(|id| **id != 2)
            .map(|id| (*id, id.to_string()))
            .collect()
    }
    #[batch(size = 10, delay_ms = 5)]
    async fn find_sorted(names: &[&str]) -> BTreeMap<String, usize> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), name.len()))
            .collect()
    }
    let one = || Some("1".to_owned());
    assert_eq!(
        tokio::join!(find(1), find(2), find(1)),
        (one(), None, one())
    );
    let (a, b) = tokio::join!(find_sorted("a".into()), find_sorted("bcd".into()));
    assert_eq!((a, b), (Some(1), Some(3)));
}

#[tokio::test(start_paused = true)]
async fn an_error_for_all_is_an_error_for_each() {
    #[batch(size = 10, delay_ms = 5)]
    async fn cloned(ids: Vec<u64>) -> Result<Vec<u64>, String> {
        if ids.contains(&0) {
            Err("zero".into())
        } else {
            Ok(ids)
        }
    }
    #[batch(size = 10, delay_ms = 5, share_err = AppError::Shared)]
    async fn shared(ids: Vec<u64>) -> Result<Vec<u64>, AppError> {
        match ids.iter().find(|id| **id >= 100) {
            Some(&id) => Err(AppError::Bad(id)),
            None => Ok(ids),
        }
    }
    assert_eq!(tokio::join!(cloned(1), cloned(2)), (Ok(1), Ok(2)));
    let zero = || Err("zero".to_owned());
    assert_eq!(tokio::join!(cloned(1), cloned(0)), (zero(), zero()));
    let bad = || Err(AppError::Shared(Arc::new(AppError::Bad(100))));
    assert_eq!(tokio::join!(shared(1), shared(100)), (bad(), bad()));
    // A lone caller gets the original.
    assert_eq!(shared(101).await, Err(AppError::Bad(101)));
}

#[tokio::test(start_paused = true)]
async fn results_of_their_own_inside_a_result_for_all_are_flat() {
    #[batch(size = 10, delay_ms = 5)]
    async fn save(ids: Vec<u64>) -> Result<Vec<Result<u64, String>>, String> {
        if ids.contains(&9) {
            return Err("all".into());
        }
        Ok(ids
            .into_iter()
            .map(|id| if id == 0 { Err("own".into()) } else { Ok(id) })
            .collect())
    }
    assert_eq!(tokio::join!(save(1), save(0)), (Ok(1), Err("own".into())));
    assert_eq!(
        tokio::join!(save(1), save(9)),
        (Err("all".into()), Err("all".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn rows_in_any_order_find_their_items() {
    type Row = (u64, char);
    #[batch(size = 10, delay_ms = 5, one_by = |row: &Row| row.0)]
    async fn one(ids: Vec<u64>) -> Result<Vec<Row>, String> {
        Ok(ids
            .iter()
            .rev()
            .filter(|id| **id != 2)
            .map(|id| (*id, 'x'))
            .collect())
    }
    #[batch(size = 10, delay_ms = 5, many_by = |row: &Row| row.0)]
    async fn many(ids: Vec<u64>) -> Vec<Row> {
        ids.iter()
            .rev()
            .flat_map(|id| (0..*id).map(move |n| (*id, char::from(b'a' + n as u8))))
            .collect()
    }
    let (a, b, c) = tokio::join!(one(1), one(2), one(3));
    assert_eq!(
        (a, b, c),
        (Ok(Some((1, 'x'))), Ok(None), Ok(Some((3, 'x'))))
    );
    let (none, two) = tokio::join!(many(0), many(2));
    assert_eq!((none, two), (vec![], vec![(2, 'a'), (2, 'b')]));
}

#[tokio::test(start_paused = true)]
async fn every_caller_gets_the_same_answer() {
    #[batch(size = 10, delay_ms = 5, shared)]
    async fn sum(ids: impl IntoIterator<Item = u64>) -> Result<u64, String> {
        Ok(ids.into_iter().sum())
    }
    assert_eq!(tokio::join!(sum(1), sum(2), sum(4)), (Ok(7), Ok(7), Ok(7)));

    #[batch(size = 10, delay_ms = 5, shared, share_err = AppError::Shared)]
    async fn below(ids: Vec<u64>) -> Result<u64, AppError> {
        match ids.iter().find(|id| **id >= 100) {
            Some(&id) => Err(AppError::Bad(id)),
            None => Ok(ids.into_iter().sum()),
        }
    }
    assert_eq!(tokio::join!(below(1), below(2)), (Ok(3), Ok(3)));
    let bad = || Err(AppError::Shared(Arc::new(AppError::Bad(100))));
    assert_eq!(tokio::join!(below(1), below(100)), (bad(), bad()));
}

#[tokio::test(start_paused = true)]
async fn each_part_of_a_split_batch_is_lent_the_arguments() {
    #[batch(size = 10, delay_ms = 5, split_on_err, items(ids))]
    async fn save(
        tenant: &str,
        region: Option<&str>,
        tags: &[&str],
        ids: &[u64],
    ) -> Result<Vec<String>, u64> {
        match ids.iter().find(|id| **id >= 100) {
            Some(&id) => Err(id),
            None => Ok(ids
                .iter()
                .map(|id| {
                    format!(
                        "{tenant}{}{}{id}",
                        region.unwrap_or_default(),
                        tags.join("")
                    )
                })
                .collect()),
        }
    }
    let call = |id| save("a", Some("b"), &["c", "d"], id);
    assert_eq!(
        tokio::join!(call(1), call(100), call(2)),
        (Ok("abcd1".into()), Err(100), Ok("abcd2".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn parallel_lists_go_in_step_and_callers_may_lend() {
    #[batch(size = 10, delay_ms = 5, items(ids, names), by_ref)]
    async fn unnest(ids: &[u64], names: Vec<String>) -> Vec<String> {
        ids.iter()
            .zip(names)
            .map(|(id, name)| format!("{id}{name}"))
            .collect()
    }
    let (a, b) = tokio::join!(unnest(&1, "a"), unnest(&2, "b"));
    assert_eq!((a.as_str(), b.as_str()), ("1a", "2b"));
}

#[tokio::test(start_paused = true)]
async fn the_function_as_it_was_written_is_kept_under_another_name() {
    #[batch(size = 10, delay_ms = 5, direct = double_all)]
    async fn double(ids: Vec<u64>) -> Vec<u64> {
        ids.iter().map(|id| id * 2).collect()
    }
    assert_eq!(double(1).await, 2);
    assert_eq!(double_all(vec![1, 2, 3]).await, [2, 4, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_data_loader_gives_equal_items_one_place() {
    #[dedup]
    #[batch(size = 3, delay_ms = 5, skip(log))]
    async fn user(log: &Log, ids: Vec<u64>) -> Result<HashMap<u64, String>, String> {
        log.note(&ids);
        Ok(ids.iter().map(|id| (*id, id.to_string())).collect())
    }
    let log = Log::default();
    let (a, b, c) = tokio::join!(user(&log, 1), user(&log, 1), user(&log, 2));
    let found = |id: u64| Ok(Some(id.to_string()));
    assert_eq!((a, b, c), (found(1), found(1), found(2)));
    assert_eq!(log.calls(), [[1, 2]]);
}

mod splitting {
    use super::*;

    /// All or nothing, and so is a transaction.
    #[batch(size = 64, delay_ms = 5, split_on_err, items(ids), skip(log))]
    async fn save(log: Log, bad: Vec<u64>, ids: &[u64]) -> Result<(), AppError> {
        log.note(ids);
        match ids.iter().find(|id| bad.contains(id)) {
            Some(&id) => Err(AppError::Bad(id)),
            None => Ok(()),
        }
    }

    async fn save_64(bad: &[u64]) -> (Log, Vec<Result<(), AppError>>) {
        let log = Log::default();
        let calls: Vec<_> = (0..64)
            .map(|id| tokio::spawn(save(log.clone(), bad.to_vec(), id)))
            .collect();
        let mut results = Vec::new();
        for call in calls {
            results.push(call.await.unwrap());
        }
        (log, results)
    }

    #[tokio::test(start_paused = true)]
    async fn one_bad_item_fails_only_its_own_caller_within_13_statements() {
        for bad in 0..64 {
            let (log, results) = save_64(&[bad]).await;
            for (id, result) in results.into_iter().enumerate() {
                let expected = if id as u64 == bad {
                    Err(AppError::Bad(bad))
                } else {
                    Ok(())
                };
                assert_eq!(result, expected, "{id}");
            }
            assert!(log.calls().len() <= 1 + 2 * 6, "{:?}", log.sizes());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_bad_item_fails_its_own_caller_and_none_is_saved_twice() {
        let bad = [0, 1, 17, 40, 63];
        let (log, results) = save_64(&bad).await;
        for (id, result) in (0..64).zip(results) {
            let expected = if bad.contains(&id) {
                Err(AppError::Bad(id))
            } else {
                Ok(())
            };
            assert_eq!(result, expected, "{id}");
        }
        let mut saved: Vec<u64> = log
            .calls()
            .into_iter()
            .filter(|call| !call.iter().any(|id| bad.contains(id)))
            .flatten()
            .collect();
        saved.sort_unstable();
        let good: Vec<u64> = (0..64).filter(|id| !bad.contains(id)).collect();
        assert_eq!(saved, good);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_bad_item_is_tried_once() {
        let log = Log::default();
        let result = save(log.clone(), vec![7], 7).await;
        assert_eq!(result, Err(AppError::Bad(7)));
        assert_eq!(log.calls(), [[7]]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_error_splits_and_a_panic_reaches_all() {
        #[batch(size = 2, delay_ms = 5, split_on_err, skip(log))]
        async fn save(log: Log, ids: Vec<u64>) -> Result<(), String> {
            log.note(&ids);
            assert!(!ids.contains(&1), "one");
            Ok(())
        }
        let log = Log::default();
        let (a, b) = tokio::join!(
            panic_of(save(log.clone(), 1)),
            panic_of(save(log.clone(), 2))
        );
        assert!(a.contains("one"));
        assert_eq!(a, b);
        assert_eq!(log.calls(), [[1, 2]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_leaves_during_a_split_changes_nothing() {
        #[batch(size = 8, delay_ms = 5, split_on_err, skip(log))]
        async fn save(log: &Log, ids: Vec<u64>) -> Result<Vec<u64>, u64> {
            log.note(&ids);
            bulk::sleep_ms(10).await;
            if ids.contains(&3) { Err(3) } else { Ok(ids) }
        }
        let log = Log::default();
        let mut calls = Vec::new();
        for id in 0..8 {
            calls.push(begun(save(&log, id)).await);
        }
        bulk::sleep_ms(15).await;
        drop(calls.remove(0));
        for (call, id) in calls.into_iter().zip(1..) {
            assert_eq!(call.await, if id == 3 { Err(3) } else { Ok(id) });
        }
    }
}
