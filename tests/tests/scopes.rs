//! `Scope::flush_all` and `Scope::stats_all` cover every scope of the process.

use std::time::Duration;

use piggyback::{Row, Scope, batch, dedup};
use piggyback_tests::by_hand::Count;
use tokio::task::yield_now;
use tokio::time::Instant;

fn row(rows: Vec<Row>, function: &str) -> Option<Row> {
    rows.into_iter().find(|row| row.function == function)
}

#[tokio::test(start_paused = true)]
async fn flush_all_runs_the_batches_of_every_scope_and_waits_for_them() {
    static WRITTEN: Count = Count::new();
    #[batch(size = 100, delay_ms = 60_000, scope = scope)]
    async fn scoped(scope: Scope, rows: Vec<u64>) {
        drop((scope, rows));
        yield_now().await;
        WRITTEN.next();
    }
    #[batch(size = 100, delay_ms = 60_000)]
    async fn unscoped(rows: Vec<u64>) {
        drop(rows);
        yield_now().await;
        WRITTEN.next();
    }

    let mut calls: Vec<_> = (0..3)
        .map(|n| tokio::spawn(scoped(Scope::new(), n)))
        .collect();
    calls.push(tokio::spawn(unscoped(1)));
    yield_now().await;
    let began = Instant::now();
    Scope::flush_all().await;
    assert_eq!(WRITTEN.get(), 4);
    for call in calls {
        call.await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(1), "nobody waited");
}

#[tokio::test]
async fn stats_all_adds_up_the_scopes_that_are_alive() {
    #[dedup(name = "stats_all.scoped", scope = scope)]
    async fn scoped(scope: &Scope, id: u64) -> u64 {
        id
    }
    #[dedup(name = "stats_all.unscoped")]
    async fn unscoped(id: u64) -> u64 {
        id
    }

    let calls = |function| row(Scope::stats_all().rows, function).map(|row| row.calls);
    unscoped(1).await;
    assert_eq!(calls("stats_all.unscoped"), Some(1));
    assert_eq!(calls("stats_all.scoped"), None);
    let scopes: Vec<_> = (0..1000).map(|_| Scope::new()).collect();
    for (scope, id) in scopes.iter().zip(0..) {
        scoped(scope, id).await;
    }
    scoped(&Scope::global(), 1).await;
    assert_eq!(calls("stats_all.scoped"), Some(1001));
    drop(scopes);
    // A flush of all scopes, in the other test, keeps them until it has ended.
    let start = std::time::Instant::now();
    while calls("stats_all.scoped") != Some(1) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "not only the global scope's"
        );
        yield_now().await;
    }
}
