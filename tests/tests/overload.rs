//! The options that keep a function useful under more load than it can serve: `max_waiting` and `max_followers` with `busy`, and
//! `eager` without a delay.

mod bulk;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bulk::{Log, begun, sleep_ms};
use piggyback::{Kind, Scope, batch, dedup};
use tokio::sync::Semaphore;
use tokio::time::Instant;

#[derive(Debug, Clone, PartialEq)]
enum Error {
    Busy,
    Bad,
}

impl Error {
    fn busy() -> Self {
        Self::Busy
    }
}

#[tokio::test(start_paused = true)]
async fn eager_without_a_delay_waits_only_for_the_running_bulk_call() {
    #[batch(size = 10, eager, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(3_600_000).await;
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(save(&log, 1)).await;
    sleep_ms(1).await;
    tokio::join!(first, save(&log, 2), save(&log, 3));
    assert_eq!(log.calls(), [vec![1], vec![2, 3]]);
    assert_eq!(start.elapsed().as_secs(), 2 * 3_600);
}

#[tokio::test(start_paused = true)]
async fn eager_without_a_delay_runs_a_full_batch_at_once() {
    #[batch(size = 2, eager, skip(log))]
    async fn save(log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(100).await;
    }
    let (log, start) = (Log::default(), Instant::now());
    let first = begun(save(&log, 1)).await;
    sleep_ms(1).await;
    tokio::join!(first, save(&log, 2), save(&log, 3));
    assert_eq!(start.elapsed().as_millis(), 101);
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_max_waiting_gets_busy_at_its_first_poll() {
    #[batch(size = 2, delay_ms = 10, concurrency = 1, max_waiting = 3, busy = Error::Busy, scope = scope, skip(scope, log))]
    async fn save(scope: &Scope, log: &Log, ids: Vec<u64>) -> Result<Vec<u64>, Error> {
        log.note(&ids);
        sleep_ms(100).await;
        Ok(ids)
    }
    let (scope, log) = (Scope::new(), Log::default());
    let running = [
        begun(save(&scope, &log, 1)).await,
        begun(save(&scope, &log, 2)).await,
    ];
    sleep_ms(1).await;
    let mut waiting = Vec::new();
    for id in 3..6 {
        waiting.push(begun(save(&scope, &log, id)).await);
    }
    let start = Instant::now();
    assert_eq!(save(&scope, &log, 6).await, Err(Error::Busy));
    assert_eq!(save(&scope, &log, 7).await, Err(Error::Busy));
    assert_eq!(start.elapsed().as_millis(), 0);
    let stats = scope.stats();
    assert_eq!((stats.rows[0].calls, stats.rows[0].refused), (7, 2));
    assert!(stats.to_string().contains("refused 2"), "{stats}");

    // A dropped caller's place is free at once.
    drop(waiting.pop());
    let last = begun(save(&scope, &log, 8)).await;
    for call in running.into_iter() {
        call.await.unwrap();
    }
    for call in waiting {
        call.await.unwrap();
    }
    assert_eq!(last.await, Ok(8));
    assert_eq!(log.calls(), [vec![1, 2], vec![3, 4], vec![8]]);
    assert_eq!(save(&scope, &log, 9).await, Ok(9));
}

#[tokio::test(start_paused = true)]
async fn groups_are_not_busy_because_others_are() {
    #[batch(size = 1, delay_ms = 0, concurrency = 1, max_waiting = 1, busy = Error::busy)]
    async fn save(tenant: u64, ids: Vec<u64>) -> Result<(), Error> {
        let _ = (tenant, ids);
        sleep_ms(100).await;
        Ok(())
    }
    let running = begun(save(1, 1)).await;
    sleep_ms(1).await;
    let waiting = begun(save(1, 2)).await;
    assert_eq!(save(1, 3).await, Err(Error::Busy));
    assert_eq!(
        tokio::join!(running, waiting, save(2, 4)),
        (Ok(()), Ok(()), Ok(()))
    );
}

static COPIES: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Counted(u64);

impl Clone for Counted {
    fn clone(&self) -> Self {
        COPIES.fetch_add(1, SeqCst);
        Self(self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_copied_for_a_call_that_is_refused() {
    #[batch(size = 1, delay_ms = 0, concurrency = 1, max_waiting = 1, busy = || Error::Busy, by_ref, unique = |id| id.clone(), skip(pool))]
    async fn save(pool: &Counted, tenant: &Counted, ids: Vec<Counted>) -> Result<(), Error> {
        let _ = (pool, tenant, ids);
        sleep_ms(100).await;
        Ok(())
    }
    let (pool, tenant) = (Counted(1), Counted(2));
    let ids = [3, 4, 5].map(Counted);
    let running = begun(save(&pool, &tenant, &ids[0])).await;
    sleep_ms(1).await;
    let waiting = begun(save(&pool, &tenant, &ids[1])).await;
    let before = COPIES.load(SeqCst);
    assert_eq!(save(&pool, &tenant, &ids[2]).await, Err(Error::Busy));
    assert_eq!(COPIES.load(SeqCst), before);
    assert_eq!(tokio::join!(running, waiting), (Ok(()), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn halves_of_a_split_are_never_refused() {
    #[batch(size = 4, delay_ms = 1, concurrency = 1, max_waiting = 4, busy = Error::Busy, split_on_err)]
    async fn save(ids: &[u64]) -> Result<(), Error> {
        if ids.contains(&0) {
            Err(Error::Bad)
        } else {
            Ok(())
        }
    }
    let all = tokio::join!(save(1), save(2), save(0), save(3));
    assert_eq!(all, (Ok(()), Ok(()), Err(Error::Bad), Ok(())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_more_than_max_waiting_items_wait() {
    static GATE: Semaphore = Semaphore::const_new(0);
    #[batch(size = 1, delay_ms = 0, concurrency = 1, max_waiting = 5, busy = Error::Busy, scope = scope)]
    async fn save(scope: Scope, ids: Vec<u64>) -> Result<(), Error> {
        let _ = (scope, ids);
        let _permit = GATE.acquire().await;
        Ok(())
    }
    let scope = Scope::new();
    let calls: Vec<_> = (0..200)
        .map(|id| tokio::spawn(save(scope.clone(), id)))
        .collect();
    bulk::eventually("each call has begun", || {
        scope
            .stats()
            .rows
            .first()
            .is_some_and(|row| row.calls == 200)
    });
    assert!(scope.stats().rows[0].waiting <= 5);
    GATE.add_permits(1);
    let mut refused = 0;
    for call in calls {
        refused += u64::from(call.await.unwrap() == Err(Error::Busy));
    }
    let row = &scope.stats().rows[0];
    assert_eq!(row.refused, refused);
    let Kind::Batch { items, .. } = row.kind else {
        unreachable!("a batch");
    };
    assert_eq!(items + refused, 200);
    assert!(refused >= 190, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn followers_of_a_loader_share_its_refusal() {
    #[dedup]
    #[batch(size = 1, delay_ms = 0, concurrency = 1, max_waiting = 1, busy = Error::Busy)]
    async fn name(ids: Vec<u64>) -> Result<Vec<u64>, Error> {
        sleep_ms(100).await;
        Ok(ids)
    }
    let running = begun(name(1)).await;
    sleep_ms(1).await;
    let waiting = begun(name(2)).await;
    assert_eq!(name(3).await, Err(Error::Busy));
    assert_eq!(
        tokio::join!(running, waiting, name(2)),
        (Ok(1), Ok(2), Ok(2))
    );
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_for_a_loaders_task_share_its_one_refusal() {
    #[dedup(spawn)]
    #[batch(size = 1, delay_ms = 0, concurrency = 1, max_waiting = 1, busy = Error::Busy, scope = scope)]
    async fn name(scope: Scope, ids: Vec<u64>) -> Result<Vec<u64>, Error> {
        let _ = scope;
        sleep_ms(100).await;
        Ok(ids)
    }
    let scope = Scope::new();
    let name = |id| name(scope.clone(), id);
    let running = begun(name(1)).await;
    sleep_ms(1).await;
    let waiting = begun(name(2)).await;
    sleep_ms(1).await;
    let refused = tokio::join!(name(3), name(3), name(3));
    assert_eq!(
        refused,
        (Err(Error::Busy), Err(Error::Busy), Err(Error::Busy))
    );
    let refused: Vec<u64> = scope.stats().rows.iter().map(|row| row.refused).collect();
    assert_eq!(refused.iter().sum::<u64>(), 1, "{refused:?}");
    assert_eq!(tokio::join!(running, waiting), (Ok(1), Ok(2)));
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_max_followers_gets_busy_and_does_not_run_the_body() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[dedup(max_followers = 1, busy = Error::Busy, scope = scope)]
    async fn user(scope: &Scope, id: u64) -> Result<u64, Error> {
        RUNS.fetch_add(1, SeqCst);
        let _ = scope;
        sleep_ms(100).await;
        Ok(id)
    }
    let scope = Scope::new();
    let leader = begun(user(&scope, 1)).await;
    let follower = begun(user(&scope, 1)).await;
    assert_eq!(user(&scope, 1).await, Err(Error::Busy));
    assert_eq!(tokio::join!(leader, follower), (Ok(1), Ok(1)));
    assert_eq!(user(&scope, 1).await, Ok(1));
    assert_eq!(RUNS.load(SeqCst), 2);
    let row = &scope.stats().rows[0];
    assert_eq!(
        (row.calls, row.refused, row.executions, row.shared),
        (4, 1, 2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn busy_works_with_spawn_and_forget() {
    #[dedup(spawn, forget = forget_user, max_followers = 1, busy = || Error::Busy)]
    async fn user(id: u64) -> Result<u64, Error> {
        sleep_ms(100).await;
        Ok(id)
    }
    let first = begun(user(1)).await;
    let follower = begun(user(1)).await;
    assert_eq!(user(1).await, Err(Error::Busy));
    forget_user(1);
    assert_eq!(
        tokio::join!(first, follower, user(1)),
        (Ok(1), Ok(1), Ok(1))
    );
}
