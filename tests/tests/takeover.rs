//! A flight whose leader is gone is taken over, and few callers start the body.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use piggyback::{Kind, Scope, batch, dedup};
use piggyback_tests::by_hand::ByHand;
use tokio::runtime::{Builder, Runtime};

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap(),
    ]
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_thousand_callers_under_one_timeout_begin_a_handful_of_bodies() {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    #[dedup(scope = scope)]
    async fn user(scope: Scope, id: u64) -> u64 {
        BEGUN.fetch_add(1, SeqCst);
        tokio::time::sleep(ms(600_000)).await;
        id
    }
    for runtime in runtimes() {
        BEGUN.store(0, SeqCst);
        let scope = Scope::new();
        runtime.block_on(async {
            let call = || tokio::spawn(tokio::time::timeout(ms(300), user(scope.clone(), 1)));
            let calls: Vec<_> = (0..1_000).map(|_| call()).collect();
            for call in calls {
                assert!(call.await.unwrap().is_err(), "the body is longer than that");
            }
        });
        let begun = BEGUN.load(SeqCst);
        assert!((1..=20).contains(&begun), "{begun} bodies were begun");
        // Those that were to take over, but were dropped before they did, never ran the body.
        let row = &scope.stats().rows[0];
        assert_eq!(row.executions, begun as u64);
        assert!(
            matches!(row.kind, Kind::Dedup { leaders_dropped, .. } if leaders_dropped <= row.executions),
            "{row:?}"
        );
    }
}

#[test]
fn the_newest_caller_is_woken_first() {
    #[dedup(skip(caller))]
    async fn user(id: u64, caller: u64) -> u64 {
        // Only its own leader can go on.
        if caller == 0 {
            std::future::pending::<()>().await;
        }
        id + caller
    }
    let runtime = &runtimes()[0];
    runtime.block_on(async {
        let leader = tokio::spawn(user(100, 0));
        tokio::task::yield_now().await;
        let mut calls = Vec::new();
        for caller in 1..=5 {
            calls.push(tokio::spawn(user(100, caller)));
            tokio::task::yield_now().await;
        }
        leader.abort();
        for call in calls {
            assert_eq!(call.await.unwrap(), 105, "the last that came took over");
        }
    });
}

#[test]
fn a_call_that_takes_over_begins_its_body_with_its_next_poll() {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    #[dedup]
    async fn user(id: u64) -> u64 {
        if BEGUN.fetch_add(1, SeqCst) == 0 {
            std::future::pending::<()>().await;
        }
        id
    }
    let leader = ByHand::waiting(user(1));
    let mut follower = ByHand::waiting(user(1));
    let mut other = ByHand::waiting(user(1));
    drop(leader);
    assert!(follower.poll().is_pending(), "it takes over");
    assert_eq!(BEGUN.load(SeqCst), 1, "and has not begun");
    // Its deadline has passed: another takes over.
    drop(follower);
    assert!(other.poll().is_pending());
    assert_eq!(BEGUN.load(SeqCst), 1);
    assert_eq!(other.poll(), Poll::Ready(1));
    assert_eq!(BEGUN.load(SeqCst), 2);
}

/// The task is stuck on a runtime that is not driven, and the call that opened the flight waits beside one that could start
/// another.
#[test]
fn a_caller_that_has_given_its_body_away_leaves_the_vacancy_to_the_others() {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    #[dedup(spawn)]
    async fn user(id: u64) -> u64 {
        BEGUN.fetch_add(1, SeqCst);
        id
    }
    let [driven, _] = runtimes();
    let [stalled, _] = runtimes();
    let mut opener = Box::pin(user(1));
    stalled.block_on(async {
        let polled = std::future::poll_fn(|cx| Poll::Ready(opener.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
    });
    driven.block_on(async {
        let both = async { tokio::join!(opener, user(1)) };
        let both = tokio::time::timeout(Duration::from_secs(20), both).await;
        assert_eq!(both.expect("nobody took over"), (1, 1));
    });
    assert_eq!(BEGUN.load(SeqCst), 1);
}

/// One execution hangs, and callers keep coming. Only the callers that waited for it miss their deadline.
#[test]
fn an_execution_that_hangs_affects_few_callers() {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    #[dedup]
    async fn user(id: u64) -> u64 {
        if BEGUN.fetch_add(1, SeqCst) == 0 {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(ms(20)).await;
        id
    }
    for runtime in runtimes() {
        BEGUN.store(0, SeqCst);
        let late = runtime.block_on(async {
            let mut calls = Vec::new();
            for _ in 0..200 {
                calls.push(tokio::spawn(tokio::time::timeout(ms(400), user(1))));
                tokio::time::sleep(ms(2)).await;
            }
            let results = join_all(calls).await;
            results
                .into_iter()
                .filter(|call| call.as_ref().unwrap().is_err())
                .count()
        });
        assert!(late < 100, "{late} of 200 callers were not served");
        assert!(BEGUN.load(SeqCst) < 100);
    }
}

#[tokio::test(start_paused = true)]
async fn a_loaders_item_is_sent_once_even_if_its_first_caller_leaves() {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    #[dedup]
    #[batch(size = 100, delay_ms = 5)]
    async fn charge(orders: Vec<u64>) -> Vec<u64> {
        SENT.fetch_add(orders.len(), SeqCst);
        tokio::time::sleep(ms(200)).await;
        orders
    }
    // While it is queued, while it runs, and again and again.
    for deadlines in [&[2][..], &[150], &[2, 50, 100, 150], &[150, 160, 170]] {
        SENT.store(0, SeqCst);
        let began = tokio::time::Instant::now();
        let gives_up =
            |deadline: &u64| tokio::spawn(tokio::time::timeout(ms(*deadline), charge(7)));
        let first: Vec<_> = deadlines.iter().map(gives_up).collect();
        tokio::task::yield_now().await;
        let patient = tokio::spawn(charge(7));
        for call in first {
            assert!(call.await.unwrap().is_err());
        }
        assert_eq!(patient.await.unwrap(), 7);
        assert_eq!(SENT.load(SeqCst), 1, "{deadlines:?}");
        assert_eq!(began.elapsed().as_millis(), 205, "{deadlines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_loaders_item_is_not_sent_if_all_its_callers_left() {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    #[dedup]
    #[batch(size = 100, delay_ms = 5)]
    async fn charge(orders: Vec<u64>) -> Vec<u64> {
        SENT.fetch_add(orders.len(), SeqCst);
        orders
    }
    for callers in [1, 2, 5] {
        let calls = (0..callers).map(|_| tokio::time::timeout(ms(3), charge(7)));
        assert!(join_all(calls).await.iter().all(Result::is_err));
        tokio::time::sleep(ms(50)).await;
        assert_eq!(SENT.load(SeqCst), 0, "{callers} callers");
    }
    assert_eq!(charge(7).await, 7);
    assert_eq!(SENT.load(SeqCst), 1);
}
