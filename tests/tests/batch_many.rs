//! `many = name`: a second function, for a list of items, which join the group together with those of single callers.

mod bulk;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bulk::{Log, begun, ms, panic_of, sleep_ms};
use futures_util::future::join_all;
use piggyback::{Failure, FailureKind, Kind, Scope, batch};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

async fn ends<T>(call: impl Future<Output = T>) -> T {
    let ended = timeout(Duration::from_secs(20), call).await;
    ended.expect("it hangs")
}

#[derive(Debug, Clone, PartialEq)]
enum Error {
    Bad,
    Busy,
    Failed(String),
}

impl Error {
    fn failed(failure: Failure) -> Self {
        assert_eq!(failure.kind(), FailureKind::Panicked);
        Self::Failed(failure.to_string())
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_joins_with_single_callers_in_as_many_batches_as_it_needs() {
    #[batch(size = 4, delay_ms = 10, skip(log), many = save_all)]
    async fn save(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids.into_iter().map(|id| id * 10).collect()
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(save(&log, 1)).await;
    let list = begun(save_all(&log, (2..=8).collect())).await;
    let last = begun(save(&log, 9)).await;
    let (first, list, last) = tokio::join!(first, list, last);
    assert_eq!((first, last), (10, 90));
    assert_eq!(list, [20, 30, 40, 50, 60, 70, 80]);
    assert_eq!(log.calls(), [vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9]]);
    assert_eq!(start.elapsed(), ms(10));
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_makes_no_call_and_one_item_is_a_call() {
    #[batch(size = 4, eager, scope = scope, skip(log), many = save_all)]
    async fn save(scope: &Scope, log: &Log, ids: Vec<u64>) -> Vec<u64> {
        let _ = scope;
        log.note(&ids);
        ids
    }
    let (scope, log) = (Scope::new(), Log::default());
    assert_eq!(save_all(&scope, &log, vec![]).await, []);
    assert!(log.calls().is_empty() && scope.stats().rows.is_empty());
    assert_eq!(save_all(&scope, &log, vec![7]).await, [7]);
    assert_eq!(
        save_all(&scope, &log, vec![1, 2, 3, 4, 5, 6]).await,
        [1, 2, 3, 4, 5, 6]
    );
    let row = &scope.stats().rows[0];
    assert_eq!((row.calls, row.waiting, row.in_flight), (7, 0, 0));
    let Kind::Batch { items, .. } = row.kind else {
        unreachable!("a batch");
    };
    assert_eq!(items, 7);
}

#[tokio::test(start_paused = true)]
async fn each_shape_of_results_is_handed_out_in_the_order_of_the_list() {
    #[batch(size = 3, delay_ms = 1, many = units)]
    async fn unit(ids: &[u64]) {
        assert!(ids.len() <= 3);
    }
    #[batch(size = 3, delay_ms = 1, many = hashed)]
    async fn hash(ids: Vec<u64>) -> HashMap<u64, u64> {
        ids.into_iter()
            .filter(|id| id % 2 == 0)
            .map(|id| (id, id + 1))
            .collect()
    }
    #[batch(size = 3, delay_ms = 1, many = trees)]
    async fn tree(ids: Vec<u64>) -> Result<BTreeMap<u64, u64>, Error> {
        if ids.contains(&9) {
            return Err(Error::Bad);
        }
        Ok(ids.into_iter().map(|id| (id, id + 1)).collect())
    }
    #[batch(size = 3, delay_ms = 1, many = flats)]
    async fn flat(ids: Vec<u64>) -> Result<Vec<Result<u64, Error>>, Error> {
        Ok(ids
            .into_iter()
            .map(|id| if id == 2 { Err(Error::Bad) } else { Ok(id) })
            .collect())
    }
    #[batch(size = 3, delay_ms = 1, one_by = |row| row.0, many = ones)]
    async fn one(ids: Vec<u64>) -> Vec<(u64, char)> {
        ids.into_iter()
            .rev()
            .filter(|id| *id != 2)
            .map(|id| (id, 'a'))
            .collect()
    }
    #[batch(size = 3, delay_ms = 1, many_by = |row| row.0, many = manies)]
    async fn many(ids: Vec<u64>) -> Result<Vec<(u64, char)>, Error> {
        Ok(ids
            .into_iter()
            .flat_map(|id| vec![(id, 'a'); id as usize])
            .collect())
    }
    #[batch(size = 3, delay_ms = 1, shared, many = counts)]
    async fn count(ids: Vec<u64>) -> usize {
        ids.len()
    }
    assert_eq!(units(vec![1, 2, 3, 4]).await, [(); 4]);
    assert_eq!(
        hashed(vec![4, 1, 2, 4]).await,
        [Some(5), None, Some(3), Some(5)]
    );
    assert_eq!(
        trees(vec![3, 2, 1, 9]).await,
        [Ok(Some(4)), Ok(Some(3)), Ok(Some(2)), Err(Error::Bad)]
    );
    assert_eq!(
        flats(vec![1, 2, 3, 4]).await,
        [Ok(1), Err(Error::Bad), Ok(3), Ok(4)]
    );
    assert_eq!(
        ones(vec![3, 2, 1, 4]).await,
        [Some((3, 'a')), None, Some((1, 'a')), Some((4, 'a'))]
    );
    let of = |n: u64| Ok(vec![(n, 'a'); n as usize]);
    assert_eq!(manies(vec![2, 0, 1, 3]).await, [of(2), of(0), of(1), of(3)]);
    assert_eq!(counts(vec![1, 2, 3, 4]).await, [3, 3, 3, 1]);
    let calls = (
        unit(1),
        hash(2),
        tree(3),
        flat(4),
        one(5),
        many(6),
        count(7),
    );
    let (a, b, c, d, e, f, g) = calls;
    let ((), b, c, d, e, f, g) = tokio::join!(a, b, c, d, e, f, g);
    assert_eq!((b, c, d), (Some(3), Ok(Some(4)), Ok(4)));
    assert_eq!((e, f, g), (Some((5, 'a')), of(6), 1));
}

#[tokio::test(start_paused = true)]
async fn items_by_reference_in_step_and_sorted() {
    #[batch(size = 3, delay_ms = 1, by_ref, many = lengths)]
    async fn length(names: &[&str]) -> Vec<usize> {
        names.iter().map(|name| name.len()).collect()
    }
    #[batch(size = 3, delay_ms = 1, items(ids, names), many = save_all, sort_by = |row| std::cmp::Reverse(row.0))]
    async fn save(ids: Vec<u64>, tenant: &str, names: &[String]) -> Vec<String> {
        assert!(ids.is_sorted_by(|a, b| a >= b));
        ids.iter()
            .zip(names)
            .map(|(id, name)| format!("{tenant} {id} {name}"))
            .collect()
    }
    let names = ["a", "bb", "ccc", "dddd"].map(str::to_owned);
    assert_eq!(lengths(names.to_vec()).await, [1, 2, 3, 4]);
    assert_eq!(length("eeeee").await, 5);
    let saved = save_all(vec![1, 2, 3, 4], "t", names.to_vec()).await;
    assert_eq!(saved, ["t 1 a", "t 2 bb", "t 3 ccc", "t 4 dddd"]);
    let said = panic_of(save_all(vec![1], "t", vec![])).await;
    assert!(said.contains("parallel lists"), "{said}");
    assert_eq!(save(5, "t", "e".into()).await, "t 5 e");
}

#[tokio::test(start_paused = true)]
async fn methods_and_generics_have_it() {
    #[derive(Clone)]
    struct Service {
        scope: Scope,
        log: Log<String>,
    }
    impl Service {
        #[batch(size = 3, delay_ms = 1, scope = self.scope, many = save_all)]
        async fn save<T: ToString + Send + 'static, const N: usize>(
            &self,
            items: Vec<T>,
        ) -> Vec<String> {
            let texts: Vec<String> = items
                .iter()
                .map(|item| format!("{}{N}", item.to_string()))
                .collect();
            self.log.note(&texts);
            texts
        }
        #[batch(size = 3, delay_ms = 1, many = made)]
        async fn make(
            mut prefix: String,
            (a, _): (u64, u64),
            _: bool,
            items: Vec<u64>,
        ) -> Vec<Self> {
            prefix.push('-');
            items
                .into_iter()
                .map(|item| {
                    let log = Log::default();
                    log.note(&[format!("{prefix}{a}{item}")]);
                    Self {
                        scope: Scope::new(),
                        log,
                    }
                })
                .collect()
        }
        #[batch(size = 3, delay_ms = 1, many = shared_all, key(self = 0))]
        async fn shared(self: Arc<Self>, items: Vec<u64>) -> Vec<u64> {
            items
        }
    }
    let service = Service {
        scope: Scope::new(),
        log: Log::default(),
    };
    let (a, b, c) = tokio::join!(
        service.save_all::<_, 1>(vec!["a", "b"]),
        service.save::<_, 1>("c"),
        service.save_all::<u64, 1>(vec![1, 2, 3, 4]),
    );
    assert_eq!(
        (a, c),
        (
            vec!["a1".into(), "b1".into()],
            ["11", "21", "31", "41"].map(String::from).to_vec()
        )
    );
    assert_eq!(b, "c1");
    assert_eq!(service.log.sizes(), [3, 3, 1]);
    let made = Service::made("x".into(), (1, 2), true, vec![3, 4]).await;
    assert_eq!(made[1].log.calls(), [["x-14"]]);
    assert_eq!(Arc::new(service).shared_all(vec![1, 2]).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_refused_or_taken_as_a_whole() {
    #[batch(size = 2, delay_ms = 10, concurrency = 1, max_waiting = 4, busy = Error::Busy, scope = scope, skip(log), many = save_all)]
    async fn save(scope: &Scope, log: &Log, ids: Vec<u64>) -> Result<Vec<u64>, Error> {
        let _ = scope;
        log.note(&ids);
        sleep_ms(100).await;
        Ok(ids)
    }
    let (scope, log) = (Scope::new(), Log::default());
    assert_eq!(
        save_all(&scope, &log, (0..5).collect()).await,
        vec![Err(Error::Busy); 5]
    );
    let running = begun(save_all(&scope, &log, vec![1, 2])).await;
    sleep_ms(1).await;
    let waits = begun(save_all(&scope, &log, vec![3, 4])).await;
    let start = Instant::now();
    assert_eq!(
        save_all(&scope, &log, vec![5, 6, 7]).await,
        vec![Err(Error::Busy); 3]
    );
    assert_eq!(start.elapsed(), ms(0));
    let fits = begun(save_all(&scope, &log, vec![8, 9])).await;
    assert_eq!(save(&scope, &log, 10).await, Err(Error::Busy));
    let row = &scope.stats().rows[0];
    assert_eq!(
        (row.calls, row.refused, row.waiting),
        (5 + 2 + 2 + 3 + 2 + 1, 9, 4)
    );
    drop(waits);
    assert_eq!(
        scope.stats().rows[0].waiting,
        2,
        "its places are free at once"
    );
    let (running, fits) = tokio::join!(running, fits);
    assert_eq!((running, fits), (vec![Ok(1), Ok(2)], vec![Ok(8), Ok(9)]));
    assert_eq!(log.calls(), [[1, 2], [8, 9]]);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_list_removes_items_that_have_not_started() {
    #[batch(size = 2, delay_ms = 10, concurrency = 1, skip(log), many = save_all)]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(100).await;
    }
    let log = Log::default();
    let list = begun(save_all(&log, (0..7).collect())).await;
    let single = begun(save(&log, 7)).await;
    sleep_ms(50).await;
    drop(list);
    single.await;
    assert_eq!(log.calls(), [vec![0, 1], vec![7]]);
}

#[tokio::test(start_paused = true)]
async fn items_that_move_to_a_batch_ahead_are_served_there() {
    #[batch(size = 4, delay_ms = 10, concurrency = 1, skip(log), many = save_all)]
    async fn save(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        sleep_ms(100).await;
        ids
    }
    for gone in 1..=4 {
        let log = Log::default();
        let running = begun(save_all(&log, (0..4).collect())).await;
        sleep_ms(1).await;
        let mut ahead = Vec::new();
        for id in 4..8 {
            ahead.push(begun(save(&log, id)).await);
        }
        let list = begun(save_all(&log, (8..20).collect())).await;
        ahead.truncate(4 - gone);
        let (running, ahead, list) =
            ends(async { tokio::join!(running, join_all(ahead), list) }).await;
        assert_eq!(running, [0, 1, 2, 3]);
        assert_eq!(ahead.len(), 4 - gone);
        assert!(list.into_iter().eq(8..20));
        assert!(log.calls().concat().is_sorted());
        assert_eq!(log.sizes()[1], 4, "{:?}", log.calls());
    }
}

#[tokio::test(start_paused = true)]
async fn limits_of_a_batch_hold_for_lists() {
    #[batch(size = 10, delay_ms = 1, unique = |id| id % 3, skip(log), many = unique_all)]
    async fn unique(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    #[batch(size = 10, delay_ms = 1, weight = |id| *id, max_weight = 5, skip(log), many = heavy_all)]
    async fn heavy(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    #[batch(size = 4, delay_ms = 1, split_on_err, skip(log), many = split_all)]
    async fn split(log: &Log, ids: Vec<u64>) -> Result<Vec<u64>, Error> {
        log.note(&ids);
        if ids.contains(&2) {
            Err(Error::Bad)
        } else {
            Ok(ids)
        }
    }
    let log = Log::default();
    assert!(
        unique_all(&log, (0..9).collect())
            .await
            .into_iter()
            .eq(0..9)
    );
    assert_eq!(log.calls(), [[0, 1, 2], [3, 4, 5], [6, 7, 8]]);
    let log = Log::default();
    assert_eq!(heavy_all(&log, vec![2, 3, 1, 9, 4]).await, [2, 3, 1, 9, 4]);
    let mut calls = log.calls();
    calls.sort();
    assert_eq!(calls, [vec![1], vec![2, 3], vec![4], vec![9]]);
    let log = Log::default();
    assert_eq!(
        split_all(&log, vec![1, 2, 3, 4]).await,
        [Ok(1), Err(Error::Bad), Ok(3), Ok(4)]
    );
    let _ = (
        unique(&log, 1).await,
        heavy(&log, 1).await,
        split(&log, 1).await,
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_affects_only_its_own_list() {
    #[batch(size = 2, delay_ms = 10, failed = Error::failed, many = save_all)]
    async fn save(ids: Vec<u64>) -> Result<Vec<u64>, Error> {
        assert!(!ids.contains(&3), "on purpose");
        Ok(ids)
    }
    #[batch(size = 2, delay_ms = 10, many = load_all)]
    async fn load(ids: Vec<u64>) -> Vec<u64> {
        assert!(!ids.contains(&3), "on purpose");
        ids
    }
    #[batch(size = 3, delay_ms = 10, unique = |id| { assert!(*id != 3, "in the closure"); *id }, skip(log), many = told_all)]
    async fn told(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let all = save_all(vec![1, 2, 3, 4, 5]).await;
    assert_eq!((&all[0], &all[1], &all[4]), (&Ok(1), &Ok(2), &Ok(5)));
    assert!(
        matches!(&all[2..4], [Err(Error::Failed(a)), Err(Error::Failed(b))] if a == b && a.contains("on purpose"))
    );
    let said = panic_of(load_all(vec![1, 2, 3, 4])).await;
    assert!(
        said.contains("load") && said.contains("on purpose"),
        "{said}"
    );
    let log = Log::default();
    let other = begun(told(log.clone(), 9)).await;
    let said = panic_of(told_all(log.clone(), vec![1, 2, 3])).await;
    assert!(said.contains("in the closure"), "{said}");
    assert_eq!(other.await, 9);
    assert_eq!(log.calls(), [[9]], "nothing of the list is left");
    assert_eq!((save(1).await, load(1).await), (Ok(1), 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_batch_opens_leaves_nothing_behind() {
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    fn size() -> usize {
        assert!(OPENED.fetch_add(1, SeqCst) != 1, "the second");
        2
    }
    #[batch(size = size(), delay_ms = 10, skip(log), many = save_all)]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let log = Log::default();
    let said = panic_of(save_all(log.clone(), (0..5).collect())).await;
    assert!(said.contains("the second"), "{said}");
    assert_eq!(
        ends(save_all(log.clone(), (5..10).collect())).await,
        [5, 6, 7, 8, 9]
    );
    assert_eq!(log.calls(), [vec![5, 6], vec![7, 8], vec![9]]);
}

#[tokio::test]
async fn a_bulk_call_that_awaits_a_list_of_its_own_function_ends() {
    #[batch(size = 4, delay_ms = 1, concurrency = 1, limit = permits, skip(permits), many = depths)]
    async fn depth(permits: Arc<Semaphore>, levels: Vec<u64>) -> Vec<u64> {
        let below = levels
            .into_iter()
            .map(|level| below(permits.clone(), level));
        join_all(below).await
    }
    fn below(
        permits: Arc<Semaphore>,
        level: u64,
    ) -> std::pin::Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(async move {
            if level == 0 {
                return 0;
            }
            let below = depths(permits, vec![level - 1; 6]).await;
            below.into_iter().max().unwrap() + 1
        })
    }
    let permits = Arc::new(Semaphore::new(1));
    assert_eq!(ends(depths(permits.clone(), vec![3, 1])).await, [3, 1]);
    assert_eq!(ends(depth(permits.clone(), 2)).await, 2);
    assert_eq!(permits.available_permits(), 1);
}

#[test]
fn runtimes_that_stop_lose_only_their_running_batches() {
    #[batch(size = 3, delay_ms = 100, skip(log), many = save_all)]
    async fn save(log: Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let (log, dies) = (Log::default(), runtime());
    let opener = dies.block_on(begun(save(log.clone(), 0)));
    let (begun_tx, begun_rx) = mpsc::channel();
    let other = thread::spawn({
        let log = log.clone();
        move || {
            runtime().block_on(async {
                let list = begun(save_all(log, vec![1, 2, 3, 4])).await;
                begun_tx.send(()).unwrap();
                ends(list).await
            })
        }
    });
    begun_rx.recv().unwrap();
    drop(opener);
    drop(dies);
    assert_eq!(other.join().unwrap(), [1, 2, 3, 4]);
    let mut items = log.calls().concat();
    items.sort_unstable();
    assert_eq!(items, [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_single_calls_that_come_and_go_get_their_own() {
    #[batch(size = 7, delay_ms = 1, concurrency = 2, many = save_all)]
    async fn save(group: u64, ids: Vec<u64>) -> Vec<u64> {
        assert!(ids.len() <= 7 && group < 2);
        tokio::task::yield_now().await;
        ids.into_iter().map(|id| id + 1).collect()
    }
    let calls: Vec<_> = (0..2_000_u64)
        .map(|n| {
            tokio::spawn(async move {
                let list: Vec<u64> = (n..n + n % 20).collect();
                let expected: Vec<u64> = list.iter().map(|id| id + 1).collect();
                match n % 5 {
                    0 => assert_eq!(save(n % 2, n).await, n + 1),
                    1 => drop(timeout(ms(n % 3), save_all(n % 2, list)).await),
                    _ => assert_eq!(save_all(n % 2, list).await, expected),
                }
            })
        })
        .collect();
    for call in calls {
        ends(call).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_list_is_one_future_and_wakes_once_per_batch() {
    static POLLS: AtomicUsize = AtomicUsize::new(0);
    #[batch(size = 100, eager, many = save_all)]
    async fn save(ids: Vec<u64>) -> Vec<u64> {
        tokio::task::yield_now().await;
        ids
    }
    let mut list = Box::pin(save_all((0..10_000).collect()));
    let counted = std::future::poll_fn(|cx| {
        POLLS.fetch_add(1, SeqCst);
        list.as_mut().poll(cx)
    });
    assert!(ends(counted).await.into_iter().eq(0..10_000));
    assert!(POLLS.load(SeqCst) <= 102, "{POLLS:?}");
    assert_eq!(save(1).await, 1);
}

/// With `eager`, a batch runs as soon as a thread is free. A list that fits must be in it as a whole by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_that_fits_is_one_bulk_call_on_many_threads() {
    #[batch(size = 100, eager, skip(log), many = save_all)]
    async fn save(log: &Log, ids: Vec<u64>) -> Vec<u64> {
        log.note(&ids);
        ids
    }
    let log = Log::default();
    for round in 0..300 {
        let ids: Vec<u64> = (0..10).map(|id| round * 10 + id).collect();
        assert_eq!(ends(save_all(&log, ids.clone())).await, ids);
        assert_eq!(log.calls().last(), Some(&ids), "round {round}");
    }
    let ids: Vec<u64> = (0..250).collect();
    ends(save_all(&log, ids)).await;
    let sizes: Vec<usize> = log.calls()[300..].iter().map(Vec::len).collect();
    assert_eq!(sizes, [100, 100, 50]);
}
