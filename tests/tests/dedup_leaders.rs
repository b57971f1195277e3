//! A leader is dropped: one follower takes over, on any thread and runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use piggyback::{Kind, Row, Scope, dedup};
use piggyback_tests::by_hand::{ByHand, Count, Gate, block_on, one_turn};
use tokio::runtime;

/// The counts of a function, found by its `name`, since tests run side by side.
fn row(function: &str) -> Row {
    let mut rows = Scope::global().stats().rows.into_iter();
    rows.find(|row| row.function == function)
        .expect("it was called")
}

#[test]
fn a_dropped_leader_hands_over_to_one_follower() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup(name = "hand over")]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        GATE.passed().await;
        (id, run)
    }

    let leader = ByHand::waiting(user(1));
    let mut followers: Vec<_> = (0..5).map(|_| ByHand::waiting(user(1))).collect();
    drop(leader);
    for follower in &followers {
        assert_eq!(follower.wakes(), 1);
    }
    // Whoever is polled first leads, and only that one.
    assert!(followers[3].takes_over().is_pending());
    for at in [0, 1, 2, 4] {
        assert!(followers[at].poll().is_pending());
        assert_eq!(RUNS.get(), 2);
    }
    GATE.open();
    assert_eq!(followers[3].poll(), Poll::Ready((1, 2)));
    for at in [0, 1, 2, 4] {
        assert_eq!(followers[at].poll(), Poll::Ready((1, 2)));
    }
    let row = row("hand over");
    assert_eq!((row.calls, row.executions, row.shared), (6, 2, 4));
    assert_eq!((row.in_flight, row.waiting), (0, 0));
    assert!(matches!(
        row.kind,
        Kind::Dedup {
            leaders_dropped: 1,
            leaders_stalled: 0,
            ..
        }
    ));
}

#[test]
fn a_follower_that_is_not_polled_blocks_no_other() {
    static RUNS: Count = Count::new();
    #[dedup]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        one_turn().await;
        (id, run)
    }

    let leader = ByHand::waiting(user(1));
    let mut asleep = ByHand::waiting(user(1));
    let mut awake = ByHand::waiting(user(1));
    drop(leader);
    assert!(awake.takes_over().is_pending());
    assert_eq!(awake.poll(), Poll::Ready((1, 2)));
    // The sleeper finds the result when it is polled at last.
    assert_eq!(asleep.poll(), Poll::Ready((1, 2)));
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn a_follower_that_is_dropped_after_it_was_woken_blocks_no_other() {
    static RUNS: Count = Count::new();
    #[dedup(name = "dropped when woken")]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        one_turn().await;
        (id, run)
    }

    let leader = ByHand::waiting(user(1));
    let woken = ByHand::waiting(user(1));
    let mut other = ByHand::waiting(user(1));
    drop(leader);
    assert_eq!(woken.wakes(), 1);
    drop(woken);
    assert!(other.takes_over().is_pending());
    assert_eq!(other.poll(), Poll::Ready((1, 2)));

    // And if all go that were woken, the key goes with the last.
    let leader = ByHand::waiting(user(2));
    let followers: Vec<_> = (0..3).map(|_| ByHand::waiting(user(2))).collect();
    drop(leader);
    assert_eq!(row("dropped when woken").in_flight, 1);
    drop(followers);
    assert_eq!(row("dropped when woken").in_flight, 0);
}

#[test]
fn a_new_caller_may_take_a_vacancy() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        GATE.passed().await;
        (id, run)
    }

    let leader = ByHand::waiting(user(1));
    let mut asleep = ByHand::waiting(user(1));
    drop(leader);
    let mut new = ByHand::new(user(1));
    assert!(new.takes_over().is_pending());
    assert_eq!(RUNS.get(), 2);
    GATE.open();
    assert_eq!(new.poll(), Poll::Ready((1, 2)));
    assert_eq!(asleep.poll(), Poll::Ready((1, 2)));
}

#[test]
fn leaders_may_be_dropped_one_after_another() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        GATE.passed().await;
        (id, run)
    }

    let mut calls: Vec<_> = (0..200).map(|_| ByHand::waiting(user(1))).collect();
    // No cap on how often leadership is handed on.
    while calls.len() > 1 {
        let before = RUNS.get();
        drop(calls.remove(0));
        assert!(calls[0].takes_over().is_pending());
        for call in &mut calls {
            assert!(call.poll().is_pending());
        }
        assert_eq!(RUNS.get(), before + 1);
    }
    GATE.open();
    assert_eq!(calls[0].poll(), Poll::Ready((1, 200)));
}

#[test]
fn without_followers_the_key_is_gone_at_once() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup(name = "gone at once")]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        GATE.passed().await;
        (id, run)
    }

    drop(ByHand::waiting(user(1)));
    assert_eq!(row("gone at once").in_flight, 0);
    let leader = ByHand::waiting(user(1));
    assert_eq!(RUNS.get(), 2);
    drop(ByHand::waiting(user(1)));
    drop(leader);
    assert_eq!(row("gone at once").in_flight, 0);
}

#[test]
fn followers_that_leave_change_nothing() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup(name = "leaving")]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        GATE.passed().await;
        (id, run)
    }

    let mut leader = ByHand::waiting(user(1));
    let mut stays = ByHand::waiting(user(1));
    for _ in 0..100 {
        drop(ByHand::waiting(user(1)));
        // Nor does one that joined and left without being polled again evict the flight.
        let mut joins = ByHand::waiting(user(1));
        assert!(joins.poll().is_pending());
    }
    assert_eq!((leader.wakes(), stays.wakes()), (0, 0));
    assert_eq!((row("leaving").in_flight, row("leaving").waiting), (1, 1));
    GATE.open();
    assert_eq!(leader.poll(), Poll::Ready((1, 1)));
    assert_eq!(stays.poll(), Poll::Ready((1, 1)));
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn a_dropped_body_releases_its_values_before_the_next_begins() {
    static RUNS: Count = Count::new();
    static RELEASED: AtomicBool = AtomicBool::new(false);
    static GATE: Gate = Gate::new();
    struct Lock;
    impl Drop for Lock {
        fn drop(&mut self) {
            // Whoever comes while the lock is being released still waits for the one that holds it.
            assert!(ByHand::new(user(1)).poll().is_pending());
            assert_eq!(RUNS.get(), 1);
            RELEASED.store(true, SeqCst);
        }
    }
    #[dedup]
    async fn user(id: u64) -> u64 {
        RUNS.next();
        let lock = Lock;
        GATE.passed().await;
        std::mem::forget(lock);
        id
    }

    let leader = ByHand::waiting(user(1));
    let mut follower = ByHand::waiting(user(1));
    drop(leader);
    assert!(RELEASED.load(SeqCst));
    assert!(follower.takes_over().is_pending());
    assert_eq!(RUNS.get(), 2);
    GATE.open();
    assert_eq!(follower.poll(), Poll::Ready(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_times_twenty_followers_see_exactly_one_new_execution() {
    struct Round {
        runs: Count,
        gate: Gate,
    }
    #[dedup(skip(round), scope = scope)]
    async fn user(scope: &Scope, round: &Round, id: usize) -> usize {
        let run = round.runs.next();
        round.gate.passed().await;
        run * 1000 + id
    }

    let scope = Scope::new();
    for id in 0..200 {
        let round = Arc::new(Round {
            runs: Count::new(),
            gate: Gate::new(),
        });
        let call = || {
            let (scope, round) = (scope.clone(), round.clone());
            tokio::spawn(async move { user(&scope, &round, id).await })
        };
        let leader = call();
        while round.runs.get() == 0 {
            tokio::task::yield_now().await;
        }
        let followers: Vec<_> = (0..20).map(|_| call()).collect();
        while scope.stats().rows[0].waiting < 20 {
            tokio::task::yield_now().await;
        }
        leader.abort();
        assert!(leader.await.unwrap_err().is_cancelled());
        while round.runs.get() < 2 || scope.stats().rows[0].waiting > 19 {
            tokio::task::yield_now().await;
        }
        round.gate.open();
        for follower in followers {
            assert_eq!(follower.await.unwrap(), 2000 + id);
        }
        assert_eq!(round.runs.get(), 2);
    }
    assert_eq!(scope.stats().rows[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_the_leader_hands_over_at_once() {
    static RUNS: Count = Count::new();
    #[dedup]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        tokio::time::sleep(Duration::from_millis(80)).await;
        (id, run)
    }

    let began = tokio::time::Instant::now();
    let leader = tokio::spawn(tokio::time::timeout(Duration::from_millis(30), user(1)));
    tokio::task::yield_now().await;
    assert_eq!(user(1).await, (1, 2));
    assert!(leader.await.unwrap().is_err());
    let took = began.elapsed().as_millis();
    assert!((110..115).contains(&took), "{took} ms");
}

/// The leader's runtime is shut down while followers wait on another one, and on none.
fn a_runtime_dies(leaders: runtime::Runtime) {
    #[dedup(scope = scope, skip(runs, gate))]
    async fn user(scope: &Scope, name: String, runs: &Count, gate: &Gate) -> usize {
        let run = runs.next();
        gate.passed().await;
        assert!(!name.is_empty());
        run
    }

    let name = format!("{:?}", leaders.handle().runtime_flavor());
    let world = Arc::new((Count::new(), Gate::new(), Scope::new()));
    let call = |world: Arc<(Count, Gate, Scope)>| {
        let name = name.clone();
        async move { user(&world.2, name, &world.0, &world.1).await }
    };
    let leader = leaders.spawn(call(world.clone()));
    // A follower on the same runtime, which is to die, too.
    let mate = leaders.spawn(call(world.clone()));
    leaders.block_on(async {
        while world.0.get() == 0 {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
    });
    let others = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let followers: Vec<_> = (0..5).map(|_| others.spawn(call(world.clone()))).collect();
    let bare = thread::spawn({
        let call = call(world.clone());
        move || block_on(call)
    });
    while world.2.stats().rows[0].waiting < 7 {
        thread::yield_now();
    }
    leaders.shutdown_timeout(Duration::from_secs(5));
    world.1.open();
    others.block_on(async {
        for follower in followers {
            assert_eq!(follower.await.unwrap(), 2);
        }
        assert!(leader.await.unwrap_err().is_cancelled());
        assert!(mate.await.unwrap_err().is_cancelled());
    });
    assert_eq!(bare.join().unwrap(), 2);
    assert_eq!(world.0.get(), 2);
}

#[test]
fn a_multi_thread_runtime_that_stops_hands_over_to_another() {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    a_runtime_dies(runtime.unwrap());
}

#[test]
fn a_current_thread_runtime_that_stops_hands_over_to_another() {
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    a_runtime_dies(runtime.unwrap());
}

#[test]
fn callers_that_come_and_go_on_many_threads_never_hang_and_leave_nothing() {
    #[dedup(scope = scope)]
    async fn user(scope: &Scope, id: u64) -> u64 {
        for _ in 0..3 {
            one_turn().await;
        }
        id
    }

    let scope = &Scope::new();
    thread::scope(|threads| {
        for seed in 1..5u64 {
            threads.spawn(move || {
                let mut random = seed;
                for _ in 0..5_000 {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let (id, polls) = ((random >> 33) % 3, (random >> 40) % 6);
                    let mut call = ByHand::new(user(scope, id));
                    let given_up = (0..polls).all(|_| call.poll().is_pending());
                    drop(call);
                    if !given_up {
                        assert_eq!(block_on(user(scope, id)), id);
                    }
                }
            });
        }
    });
    let row = &scope.stats().rows[0];
    assert_eq!((row.in_flight, row.waiting), (0, 0));
}
