//! Bulk calls that panic, or give another number of results than they got items.

mod bulk;

use bulk::{Log, begun, ms, panic_of, sleep_ms};
use piggyback::{Scope, batch};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

#[tokio::test(start_paused = true)]
async fn a_panic_reaches_all_callers_with_name_and_message_and_the_next_batch_succeeds() {
    #[batch(size = 3, delay_ms = 10)]
    async fn save(ids: Vec<u64>) -> Vec<u64> {
        assert!(!ids.contains(&13), "thirteen is {}", "unlucky");
        ids
    }
    let calls = [1, 13, 2].map(|id| tokio::spawn(panic_of(save(id))));
    for call in calls {
        let said = call.await.unwrap();
        assert!(said.contains("::save` panicked"), "{said}");
        assert!(said.contains("thirteen is unlucky"), "{said}");
    }
    assert_eq!(save(1).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_after_a_wait_is_no_different() {
    #[batch(size = 2, delay_ms = 10, scope = scope.clone(), skip(scope))]
    async fn save(scope: Scope, ids: Vec<u64>) -> Vec<u64> {
        sleep_ms(10).await;
        std::panic::panic_any(ids)
    }
    let scope = Scope::new();
    let (a, b) = tokio::join!(
        panic_of(save(scope.clone(), 1)),
        panic_of(save(scope.clone(), 2))
    );
    assert_eq!(a, b);
    assert!(a.contains("not a string"), "{a}");
    assert_eq!(scope.stats().rows[0].panics, 1);
    assert_eq!(scope.stats().rows[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_number_of_results_is_a_panic_that_says_both_numbers() {
    #[batch(size = 3, delay_ms = 10)]
    async fn save(results: usize, ids: Vec<u64>) -> Vec<u64> {
        let _ = ids;
        vec![0; results]
    }
    for results in [0, 2, 4] {
        let calls = [1, 2, 3].map(|id| tokio::spawn(panic_of(save(results, id))));
        for call in calls {
            let said = call.await.unwrap();
            let both = format!(
                "returned {results} result{} for 3 items;",
                if results == 1 { "" } else { "s" }
            );
            assert!(said.contains(&both), "{said}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_number_in_an_ok_is_a_failure_too() {
    #[batch(size = 2, delay_ms = 10)]
    async fn save(ids: Vec<u64>) -> Result<Vec<u64>, String> {
        Ok(ids.into_iter().skip(1).collect())
    }
    let said = panic_of(save(1)).await;
    assert!(said.contains("returned 0 results for 1 item;"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_result_whose_drop_panics_blocks_no_caller() {
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0, "dropped");
        }
    }
    #[batch(size = 2, delay_ms = 10)]
    async fn save(ids: Vec<u64>) -> Vec<Bomb> {
        ids.iter().map(|_| Bomb(true)).take(1).collect()
    }
    let (a, b) = tokio::join!(
        panic_of(async { drop(save(1).await) }),
        panic_of(async { drop(save(2).await) })
    );
    assert!(a.contains("::save`"), "{a}");
    assert_eq!(a, b);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_panics_when_it_is_dropped_blocks_no_caller() {
    static ARMED: AtomicBool = AtomicBool::new(true);
    struct Bomb(u64);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!(self.0 == 1 && ARMED.swap(false, SeqCst)), "dropped");
        }
    }
    #[batch(size = 10, delay_ms = 10)]
    async fn save(items: Vec<Bomb>) -> Vec<u64> {
        items.iter().map(|item| item.0).collect()
    }
    let bomb = begun(save(Bomb(1))).await;
    let other = begun(save(Bomb(2))).await;
    drop(bomb);
    assert!(!ARMED.load(SeqCst));
    assert_eq!(other.await, 2);
}

#[tokio::test(start_paused = true)]
async fn an_option_that_panics_leaves_the_group_as_it_was() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    fn delay() -> u64 {
        assert_ne!(CALLS.fetch_add(1, SeqCst), 0, "no delay");
        10
    }
    #[batch(size = 10, delay_ms = delay(), skip(log))]
    async fn save(log: Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let log = Log::default();
    let said = panic_of(save(log.clone(), 1)).await;
    assert!(said.contains("no delay"), "{said}");
    save(log.clone(), 2).await;
    assert_eq!(log.calls(), [[2]]);
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_comparison_panics_poisons_nothing() {
    static ARMED: AtomicBool = AtomicBool::new(false);
    #[derive(Clone)]
    struct Tenant(u64);
    impl std::hash::Hash for Tenant {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl PartialEq for Tenant {
        fn eq(&self, other: &Self) -> bool {
            assert!(!ARMED.load(SeqCst), "no comparison");
            self.0 == other.0
        }
    }
    impl Eq for Tenant {}
    #[batch(size = 10, delay_ms = 10, skip(log))]
    async fn save(log: Log, tenant: Tenant, ids: Vec<u64>) {
        let _ = tenant;
        log.note(&ids);
    }
    let log = Log::default();
    let first = begun(save(log.clone(), Tenant(1), 1)).await;
    ARMED.store(true, SeqCst);
    let said = panic_of(save(log.clone(), Tenant(1), 2)).await;
    assert!(said.contains("no comparison"), "{said}");
    ARMED.store(false, SeqCst);
    tokio::join!(first, save(log.clone(), Tenant(1), 3));
    assert_eq!(log.calls(), [[1, 3]]);
}

#[test]
fn a_unique_value_whose_drop_panics_blocks_no_caller() {
    #[derive(PartialEq, Eq, Hash)]
    struct Bomb(u8);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert_ne!(self.0, 2, "two");
        }
    }
    #[batch(size = 2, delay_ms = 10, unique = |&item| Bomb(item))]
    async fn save(items: Vec<u8>) -> Vec<u8> {
        items
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let both = runtime.block_on(async {
        let both = async { tokio::join!(save(1), save(2)) };
        tokio::time::timeout(std::time::Duration::from_secs(10), both).await
    });
    assert_eq!(both.unwrap(), (1, 2));
}

/// A result that panics when it is dropped, if it is the first.
#[derive(Debug, PartialEq)]
struct Fragile(u64);

impl Drop for Fragile {
    fn drop(&mut self) {
        assert_ne!(self.0, 1, "on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_panics_when_it_is_dropped_blocks_no_caller() {
    #[batch(size = 1, delay_ms = 0, scope = scope)]
    async fn save(scope: Scope, ids: Vec<u64>) -> Vec<Fragile> {
        sleep_ms(10).await;
        ids.into_iter().map(Fragile).collect()
    }
    let scope = Scope::new();
    // It leaves while the bulk call runs, so that its result is dropped there.
    let early = tokio::time::timeout(ms(5), save(scope.clone(), 1)).await;
    assert!(early.is_err());
    sleep_ms(20).await;
    for id in 2..5 {
        assert_eq!(save(scope.clone(), id).await, Fragile(id));
    }
    let row = &scope.stats().rows[0];
    let piggyback::Kind::Batch { tasks_stalled, .. } = row.kind else {
        unreachable!("a batch");
    };
    assert_eq!((row.executions, tasks_stalled), (4, 0));
}
