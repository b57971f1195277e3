//! `Scope::flush` starts open batches, and waits for those that were under way.

mod bulk;

use bulk::{Log, begun, ms, poll_once, since, sleep_ms};
use piggyback::{Scope, batch};
use tokio::runtime::Builder;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_flush_runs_every_open_batch_and_waits_for_it() {
    #[batch(size = 10, delay_ms = 1_000, scope = scope.clone(), skip(scope, log))]
    async fn save(scope: &Scope, log: &Log, tenant: u64, ids: Vec<u64>) {
        let _ = (scope, tenant);
        sleep_ms(30).await;
        log.note(&ids);
    }
    let (scope, log, start) = (Scope::new(), Log::default(), Instant::now());
    let a = begun(save(&scope, &log, 1, 1)).await;
    let b = begun(save(&scope, &log, 2, 2)).await;
    scope.flush().await;
    assert_eq!(since(start), 30);
    let mut calls = log.calls();
    calls.sort();
    assert_eq!(calls, [[1], [2]]);
    tokio::join!(a, b);
    assert_eq!(since(start), 30);
}

#[tokio::test(start_paused = true)]
async fn a_flush_with_nothing_to_do_is_done() {
    let start = Instant::now();
    Scope::new().flush().await;
    assert_eq!(since(start), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_running_and_queued_batches_but_not_for_later_ones() {
    #[batch(size = 1, delay_ms = 1_000, concurrency = 1, scope = scope.clone(), skip(scope, log))]
    async fn save(scope: &Scope, log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(100).await;
    }
    let (scope, log, start) = (Scope::new(), Log::default(), Instant::now());
    let running = begun(save(&scope, &log, 1)).await;
    sleep_ms(1).await;
    let queued = begun(save(&scope, &log, 2)).await;
    let flush = scope.flush();
    let mut flush = Box::pin(flush);
    assert!(poll_once(&mut flush).await.is_pending());
    let later = begun(save(&scope, &log, 3)).await;
    flush.await;
    assert_eq!(since(start), 200);
    tokio::join!(running, queued, later);
    assert_eq!(since(start), 300);
}

#[tokio::test(start_paused = true)]
async fn calls_after_a_flush_are_not_sent_by_it() {
    #[batch(size = 10, delay_ms = 50, scope = scope.clone(), skip(scope, log))]
    async fn save(scope: &Scope, log: &Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let (scope, log) = (Scope::new(), Log::default());
    let before = begun(save(&scope, &log, 1)).await;
    scope.flush().await;
    let start = Instant::now();
    tokio::join!(before, save(&scope, &log, 2));
    assert_eq!(since(start), 50);
    assert_eq!(log.calls(), [[1], [2]]);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_that_was_flushed_in_the_queue_takes_no_more_items() {
    #[batch(size = 2, delay_ms = 1_000, concurrency = 1, scope = scope.clone(), skip(scope, log))]
    async fn save(scope: &Scope, log: &Log, ids: Vec<u64>) {
        log.note(&ids);
        sleep_ms(100).await;
    }
    let (scope, log, start) = (Scope::new(), Log::default(), Instant::now());
    let running = (
        begun(save(&scope, &log, 1)).await,
        begun(save(&scope, &log, 2)).await,
    );
    sleep_ms(1).await;
    let (stays, goes) = (
        begun(save(&scope, &log, 3)).await,
        begun(save(&scope, &log, 4)).await,
    );
    let mut flush = Box::pin(scope.flush());
    assert!(poll_once(&mut flush).await.is_pending());
    drop(goes);
    flush.await;
    assert_eq!(since(start), 200);
    tokio::join!(running.0, running.1, stays);
}

#[tokio::test(start_paused = true)]
async fn two_flushes_at_once_both_return() {
    #[batch(size = 10, delay_ms = 1_000, scope = scope.clone(), skip(scope))]
    async fn save(scope: Scope, ids: Vec<u64>) {
        let _ = (scope, ids);
        sleep_ms(30).await;
    }
    let (scope, start) = (Scope::new(), Instant::now());
    let call = begun(save(scope.clone(), 1)).await;
    let elsewhere = tokio::spawn({
        let scope = scope.clone();
        async move { scope.flush().await }
    });
    tokio::join!(scope.flush(), scope.flush());
    elsewhere.await.unwrap();
    assert_eq!(since(start), 30);
    call.await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_flush_has_started_the_batches() {
    #[batch(size = 10, delay_ms = 1_000, scope = scope.clone(), skip(scope))]
    async fn save(scope: Scope, ids: Vec<u64>) {
        let _ = (scope, ids);
    }
    let (scope, start) = (Scope::new(), Instant::now());
    let call = begun(save(scope.clone(), 1)).await;
    drop(begun(scope.flush()).await);
    call.await;
    assert_eq!(since(start), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_returns_when_all_callers_left() {
    #[batch(size = 10, delay_ms = 1_000, concurrency = 1, scope = scope.clone(), skip(scope, log))]
    async fn save(scope: &Scope, log: &Log, ids: Vec<u64>) {
        log.note(&ids);
    }
    let (scope, log, start) = (Scope::new(), Log::default(), Instant::now());
    let call = begun(save(&scope, &log, 1)).await;
    let mut flush = Box::pin(scope.flush());
    assert!(poll_once(&mut flush).await.is_pending());
    drop(call);
    flush.await;
    assert_eq!(since(start), 0);
    assert!(log.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_flush_returns_after_a_panic_and_a_wrong_number() {
    #[batch(size = 10, delay_ms = 1_000, scope = scope.clone(), skip(scope))]
    async fn save(scope: Scope, ids: Vec<u64>) -> Vec<u64> {
        assert_ne!(ids, [0], "no");
        Vec::new()
    }
    let scope = Scope::new();
    for id in [0, 1] {
        let call = tokio::spawn(save(scope.clone(), id));
        sleep_ms(1).await;
        scope.flush().await;
        call.await.unwrap_err();
    }
}

#[test]
fn a_current_thread_runtime_flushes_before_it_ends() {
    #[batch(size = 10, delay_ms = 60_000, scope = scope.clone(), skip(scope, log))]
    async fn save(scope: Scope, log: Log, ids: Vec<u64>) {
        tokio::task::yield_now().await;
        log.note(&ids);
    }
    let (scope, log) = (Scope::new(), Log::default());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    // A handler is dropped with its connection, or not: its item counts while it is there.
    runtime.block_on(async {
        let handlers: Vec<_> = (0..25)
            .map(|id| tokio::spawn(save(scope.clone(), log.clone(), id)))
            .collect();
        tokio::task::yield_now().await;
        handlers[24].abort();
        tokio::task::yield_now().await;
        tokio::time::timeout(ms(10_000), scope.flush())
            .await
            .expect("a hang");
    });
    drop(runtime);
    let mut saved = log.calls().concat();
    saved.sort_unstable();
    assert_eq!(saved, (0..24).collect::<Vec<_>>());
}

#[test]
fn a_flush_does_not_hang_when_the_runtime_under_it_is_shut_down() {
    #[batch(size = 10, delay_ms = 60_000, scope = scope.clone(), skip(scope))]
    async fn save(scope: Scope, ids: Vec<u64>) {
        let _ = (scope, ids);
        std::future::pending::<()>().await;
    }
    let scope = Scope::new();
    let services = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    services.spawn(save(scope.clone(), 1));
    std::thread::sleep(ms(50));
    let flushing = std::thread::spawn({
        let scope = scope.clone();
        move || {
            let own = Builder::new_current_thread().enable_all().build().unwrap();
            own.block_on(async { tokio::time::timeout(ms(10_000), scope.flush()).await })
        }
    });
    std::thread::sleep(ms(50));
    services.shutdown_background();
    flushing.join().unwrap().expect("a hang");
}
