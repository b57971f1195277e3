//! A leader that is not polled although it could go on does not hold its followers; one that waits or works is left alone.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{self, StreamExt};
use piggyback::{Kind, Row, Scope, dedup};
use piggyback_tests::by_hand::{ByHand, Count, Gate, block_on};
use tokio::runtime;
use tokio::time::{Instant, sleep};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn row(function: &str) -> Row {
    let mut rows = Scope::global().stats().rows.into_iter();
    rows.find(|row| row.function == function)
        .expect("it was called")
}

fn stalled(function: &str) -> u64 {
    match row(function).kind {
        Kind::Dedup {
            leaders_stalled, ..
        } => leaders_stalled,
        _ => unreachable!(),
    }
}

/// Waits by the real clock, and lets tasks be polled meanwhile. A paused clock stays where it is.
async fn until(what: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(10), "too late");
        thread::sleep(ms(2));
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_parked_in_a_select_does_not_hold_its_followers() {
    static RUNS: Count = Count::new();
    #[dedup(name = "select")]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        sleep(ms(10)).await;
        (id, run)
    }

    let mut parked = pin!(user(1));
    let won_by_other = matches!(
        select(parked.as_mut(), pin!(async {})).await,
        Either::Right(_)
    );
    assert!(won_by_other);

    let began = Instant::now();
    let followers = futures_util::future::join_all((0..5).map(|_| tokio::spawn(user(1)))).await;
    for follower in followers {
        assert_eq!(follower.unwrap(), (1, 2));
    }
    assert_eq!(began.elapsed(), ms(20), "the two bodies, and not the watch");
    assert_eq!((RUNS.get(), stalled("select")), (2, 1));

    // The stalled one finishes for itself.
    assert_eq!(parked.await, (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_comes_back_does_not_touch_its_successors_entry() {
    static RUNS: Count = Count::new();
    #[dedup(name = "comes back", skip(ms))]
    async fn user(id: u64, ms: u64) -> (u64, usize) {
        let run = RUNS.next();
        match ms {
            u64::MAX => std::future::pending().await,
            ms => sleep(Duration::from_millis(ms)).await,
        }
        (id, run)
    }

    // Before its successor has landed.
    let mut parked = ByHand::waiting(user(1, 10));
    let successor = tokio::spawn(user(1, 1_000));
    until(|| RUNS.get() == 2).await;
    let follower = tokio::spawn(user(1, 0));
    sleep(ms(11)).await;
    assert_eq!(parked.poll(), Poll::Ready((1, 1)));
    assert_eq!(row("comes back").in_flight, 1);
    assert_eq!(user(1, 0).await, (1, 2));
    assert_eq!(follower.await.unwrap(), (1, 2));
    assert_eq!(successor.await.unwrap(), (1, 2));

    // After that, while a later flight is up: by completion, by its drop, and by a mere poll.
    for (run, end) in [(3, 0), (6, 1), (9, 2)] {
        let wait = if end == 2 { u64::MAX } else { 10 };
        let mut parked = ByHand::waiting(user(2, wait));
        assert_eq!(RUNS.get(), run);
        assert_eq!(user(2, 10).await, (2, run + 1));
        let later = tokio::spawn(user(2, 1_000));
        sleep(ms(1)).await;
        match end {
            0 => assert_eq!(parked.poll(), Poll::Ready((2, run))),
            1 => drop(parked),
            _ => assert!(parked.poll().is_pending()),
        }
        assert_eq!(row("comes back").in_flight, 1);
        assert_eq!(user(2, 10).await, (2, run + 2));
        assert_eq!(later.await.unwrap(), (2, run + 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_comes_back_before_anyone_has_claimed_leads_again() {
    static RUNS: Count = Count::new();
    #[dedup(skip(wait))]
    async fn user(id: u64, wait: u64) -> (u64, usize) {
        let run = RUNS.next();
        sleep(ms(wait)).await;
        (id, run)
    }

    let mut parked = ByHand::waiting(user(1, 10));
    let mut follower = ByHand::waiting(user(1, 10));
    until(|| follower.wakes() > 0).await;
    sleep(ms(11)).await;
    assert_eq!(parked.poll(), Poll::Ready((1, 1)));
    assert_eq!(follower.poll(), Poll::Ready((1, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_leader_that_panics_or_is_dropped_harms_no_caller() {
    static RUNS: Count = Count::new();
    #[dedup(skip(panics))]
    async fn user(id: u64, panics: bool) -> (u64, usize) {
        let run = RUNS.next();
        sleep(ms(if panics { 100 } else { 300 })).await;
        assert!(!panics, "on purpose");
        (id, run)
    }

    let mut panics = ByHand::waiting(user(1, true));
    let dropped = ByHand::waiting(user(2, false));
    let ones = tokio::spawn(user(1, false));
    let twos = tokio::spawn(user(2, false));
    until(|| RUNS.get() == 4).await;
    sleep(ms(101)).await;
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panics.poll())).unwrap_err();
    drop(dropped);
    assert_eq!(ones.await.unwrap().0, 1);
    assert_eq!(twos.await.unwrap().0, 2);
    assert_eq!(RUNS.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_of_a_buffered_stream_does_not_wait_for_futures_it_parked() {
    static RUNS: Count = Count::new();
    #[dedup]
    async fn user(id: u64) -> u64 {
        RUNS.next();
        sleep(ms(5 + id)).await;
        id
    }

    let mut users = stream::iter(0..4).map(user).buffered(4);
    let mut seen = Vec::new();
    while let Some(id) = users.next().await {
        // While this waits, the stream's other futures are not polled.
        seen.push((id, user(3).await));
    }
    assert_eq!(seen, [(0, 3), (1, 3), (2, 3), (3, 3)]);
}

#[tokio::test(start_paused = true)]
async fn the_next_leader_may_stall_too() {
    static RUNS: Count = Count::new();
    #[dedup]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        sleep(ms(10)).await;
        (id, run)
    }

    let mut parked = Vec::new();
    for run in 1..=5 {
        let mut call = ByHand::new(user(1));
        while RUNS.get() < run {
            assert!(call.poll().is_pending());
            thread::sleep(ms(2));
        }
        parked.push(call);
    }
    assert_eq!(user(1).await, (1, 6));
    for (run, call) in (1..).zip(&mut parked) {
        assert_eq!(call.poll(), Poll::Ready((1, run)));
    }
}

#[tokio::test]
async fn a_leader_that_waits_for_io_is_never_overtaken() {
    static RUNS: Count = Count::new();
    #[dedup(name = "io")]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        sleep(ms(800)).await;
        (id, run)
    }

    let leader = tokio::spawn(user(1));
    tokio::task::yield_now().await;
    let (a, b) = tokio::join!(user(1), user(1));
    assert_eq!((a, b), ((1, 1), (1, 1)));
    assert_eq!(leader.await.unwrap(), (1, 1));
    assert_eq!((RUNS.get(), stalled("io")), (1, 0));
}

#[tokio::test]
async fn a_leader_under_combinators_is_never_overtaken_while_they_are_polled() {
    static RUNS: Count = Count::new();
    #[dedup]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        sleep(ms(600)).await;
        (id, run)
    }

    let outer = tokio::spawn(async {
        let others = futures_util::future::join_all(
            (10..20).map(|id| async move { if id == 13 { user(1).await.1 } else { 0 } }),
        );
        let (others, _) = tokio::join!(others, sleep(ms(800)));
        others
    });
    tokio::task::yield_now().await;
    assert_eq!(user(1).await, (1, 1));
    assert_eq!(outer.await.unwrap()[3], 1);
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn a_leader_that_computes_for_long_is_never_overtaken() {
    static RUNS: Count = Count::new();
    static BEGUN: Gate = Gate::new();
    #[dedup(name = "computes")]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        BEGUN.open();
        thread::sleep(ms(700));
        (id, run)
    }

    let leader = thread::spawn(|| block_on(user(1)));
    block_on(BEGUN.passed());
    assert_eq!(block_on(user(1)), (1, 1));
    assert_eq!(leader.join().unwrap(), (1, 1));
    assert_eq!((RUNS.get(), stalled("computes")), (1, 0));
}

#[test]
fn a_leader_is_not_prodded_sooner_than_after_half_the_limit() {
    static GATE: Gate = Gate::new();
    #[dedup]
    async fn user(id: u64) -> u64 {
        GATE.passed().await;
        id
    }

    let mut began = std::time::Instant::now();
    let mut leader = ByHand::waiting(user(1));
    let _follower = ByHand::waiting(user(1));
    for wakes in 1..=3 {
        while leader.wakes() < wakes {
            thread::sleep(ms(1));
        }
        let took = began.elapsed();
        assert!(took >= ms(49), "{took:?}");
        // A sign of life, and the count begins anew.
        began = std::time::Instant::now();
        assert!(leader.poll().is_pending());
    }
}

#[test]
fn a_leader_without_followers_is_left_alone() {
    static GATE: Gate = Gate::new();
    #[dedup]
    async fn user(id: u64) -> u64 {
        GATE.passed().await;
        id
    }

    let leader = ByHand::waiting(user(1));
    drop(ByHand::waiting(user(1)));
    thread::sleep(ms(500));
    assert_eq!(leader.wakes(), 0);
}

/// A leader, and `with_follower` the first follower, too, on a current-thread runtime that is no longer driven.
fn undriven(with_follower: bool) {
    #[dedup(skip(runs))]
    async fn user(which: bool, runs: &Count) -> usize {
        let _ = which;
        let run = runs.next();
        sleep(ms(5)).await;
        run
    }

    let runs = Arc::new(Count::new());
    let call = || {
        let runs = runs.clone();
        async move { user(with_follower, &runs).await }
    };
    let undriven = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let leader = undriven.spawn(call());
    let mate = with_follower.then(|| undriven.spawn(call()));
    undriven.block_on(async {
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(runs.get(), 1);

    let driven = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let began = std::time::Instant::now();
    assert_eq!(driven.block_on(call()), 2);
    let took = began.elapsed();
    assert!(took < ms(1_000), "{took:?}");

    // It is driven again.
    assert_eq!(undriven.block_on(leader).unwrap(), 1);
    if let Some(mate) = mate {
        assert_eq!(undriven.block_on(mate).unwrap(), 2);
    }
    assert_eq!(runs.get(), 2);
}

#[test]
fn a_runtime_that_is_not_driven_does_not_block_others() {
    undriven(false);
}

#[test]
fn nor_does_one_that_has_the_first_follower_too() {
    undriven(true);
}

#[test]
fn without_any_runtime_a_parked_leader_does_not_hold_its_followers() {
    static RUNS: Count = Count::new();
    #[dedup]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        if run == 1 {
            piggyback_tests::by_hand::one_turn().await;
        }
        (id, run)
    }

    let mut parked = ByHand::waiting(user(1));
    let began = std::time::Instant::now();
    assert_eq!(block_on(user(1)), (1, 2));
    let took = began.elapsed();
    assert!(took < ms(1_000), "{took:?}");
    assert_eq!(parked.poll(), Poll::Ready((1, 1)));
}

#[test]
fn a_leader_gets_the_full_stall_time_on_the_real_clock() {
    #[dedup]
    async fn user(id: u64) -> u64 {
        piggyback_tests::by_hand::one_turn().await;
        id
    }

    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _parked = ByHand::waiting(user(1));
    let began = std::time::Instant::now();
    assert_eq!(runtime.block_on(user(1)), 1);
    // Twice 100 ms, less the time to the first look.
    let took = began.elapsed();
    assert!(took >= ms(140), "{took:?}");
}

#[test]
fn a_runtime_without_timers_is_watched() {
    static RUNS: Count = Count::new();
    #[dedup]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        piggyback_tests::by_hand::one_turn().await;
        (id, run)
    }

    static HEARD: Count = Count::new();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.to_string().contains("timers are disabled") {
            HEARD.next();
        } else {
            hook(info);
        }
    }));
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    for id in 1..=2 {
        let before = RUNS.get();
        let parked = ByHand::waiting(user(id));
        let began = std::time::Instant::now();
        assert_eq!(runtime.block_on(user(id)), (id, before + 2));
        let took = began.elapsed();
        assert!(took < ms(1_000), "{took:?}");
        drop(parked);
    }
    assert_eq!(HEARD.get(), 0, "no timer was asked for");
}

/// Nothing that its runtime could poll instead is polled either: all are late, and the leader is polled first.
#[test]
fn a_leader_whose_runtime_is_late_keeps_leading() {
    static RUNS: Count = Count::new();
    #[dedup(name = "late")]
    async fn get(id: u64) -> u64 {
        RUNS.next();
        sleep(ms(700)).await;
        id
    }
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let calls: Vec<_> = (0..10).map(|_| tokio::spawn(get(1))).collect();
        sleep(ms(100)).await;
        thread::sleep(ms(450));
        for call in calls {
            assert_eq!(call.await.unwrap(), 1);
        }
    });
    assert_eq!(RUNS.get(), 1);
}
