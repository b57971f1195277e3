//! A call made from inside its own execution runs by itself, however it got there.

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use piggyback::{Kind, Scope, batch, dedup};
use piggyback_tests::by_hand::{ByHand, Count, Gate, block_on, one_turn};

fn reentrant(function: &str) -> u64 {
    let rows = Scope::global().stats().rows;
    match rows
        .iter()
        .find(|row| row.function == function)
        .unwrap()
        .kind
    {
        Kind::Dedup { reentrant, .. } => reentrant,
        _ => unreachable!(),
    }
}

#[test]
fn a_call_inside_its_own_execution_runs_by_itself() {
    #[dedup(name = "direct", skip(depth))]
    async fn nested(id: u64, depth: u64) -> u64 {
        one_turn().await;
        if depth == 0 {
            return id;
        }
        Box::pin(nested(id, depth - 1)).await + 1
    }

    assert_eq!(block_on(nested(1, 1)), 2);
    assert_eq!(reentrant("direct"), 1);
    // However deep.
    assert_eq!(block_on(nested(1, 30)), 31);
    assert_eq!(reentrant("direct"), 31);
}

#[test]
fn its_followers_get_the_outer_result() {
    static GATE: Gate = Gate::new();
    #[dedup(skip(depth))]
    async fn nested(id: u64, depth: u64) -> u64 {
        if depth == 0 {
            GATE.passed().await;
            return id;
        }
        Box::pin(nested(id, depth - 1)).await + 1
    }

    let mut leader = ByHand::waiting(nested(1, 3));
    let mut follower = ByHand::waiting(nested(1, 0));
    GATE.open();
    assert_eq!(leader.poll(), Poll::Ready(4));
    assert_eq!(follower.poll(), Poll::Ready(4));
}

#[test]
fn another_annotated_function_in_between_makes_no_difference() {
    #[dedup(skip(depth))]
    async fn ping(id: u64, depth: u64) -> u64 {
        one_turn().await;
        match depth {
            0 => id,
            _ => pong(id, depth - 1).await + 1,
        }
    }
    #[dedup(skip(depth))]
    async fn pong(id: u64, depth: u64) -> u64 {
        one_turn().await;
        match depth {
            0 => id,
            _ => Box::pin(ping(id, depth - 1)).await + 1,
        }
    }

    assert_eq!(block_on(ping(1, 2)), 3);
    assert_eq!(block_on(ping(1, 25)), 26);
}

#[test]
fn calls_joined_inside_the_body_run_by_themselves() {
    #[dedup(skip(outer))]
    async fn user(id: u64, outer: bool) -> u64 {
        one_turn().await;
        if !outer {
            return id;
        }
        let (a, b, c) = tokio::join!(
            Box::pin(user(id, false)),
            Box::pin(user(id, false)),
            Box::pin(user(id + 1, false))
        );
        a + b + c
    }

    assert_eq!(block_on(user(1, true)), 4);
}

#[test]
fn a_follower_that_took_over_is_inside_its_own_execution() {
    #[dedup(skip(outer))]
    async fn user(id: u64, outer: bool) -> u64 {
        one_turn().await;
        if outer {
            return Box::pin(user(id, false)).await + 1;
        }
        id
    }

    let leader = ByHand::waiting(user(1, true));
    let follower = user(1, true);
    let mut follower = ByHand::waiting(follower);
    drop(leader);
    let value = loop {
        if let Poll::Ready(value) = follower.poll() {
            break value;
        }
    };
    assert_eq!(value, 2);
}

#[test]
fn a_waiting_call_that_is_carried_into_the_execution_runs_by_itself() {
    type Call = Pin<Box<dyn Future<Output = u64> + Send>>;
    static CARRIED: std::sync::Mutex<Option<Call>> = std::sync::Mutex::new(None);
    static GATE: Gate = Gate::new();
    #[dedup]
    async fn user(id: u64) -> u64 {
        GATE.passed().await;
        let carried = CARRIED.lock().unwrap().take();
        match carried {
            Some(carried) => carried.await + 1,
            None => id,
        }
    }

    let mut leader = ByHand::waiting(user(1));
    let mut follower: Call = Box::pin(user(1));
    let waker = std::task::Waker::noop();
    assert!(
        follower
            .as_mut()
            .poll(&mut std::task::Context::from_waker(waker))
            .is_pending()
    );
    *CARRIED.lock().unwrap() = Some(follower);
    GATE.open();
    assert_eq!(leader.poll(), Poll::Ready(2));
}

#[test]
fn an_unequal_key_inside_is_still_shared() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup(name = "unequal")]
    async fn user(id: u64) -> u64 {
        if id > 0 {
            return Box::pin(user(id - 1)).await + 1;
        }
        RUNS.next();
        GATE.passed().await;
        0
    }

    let mut calls: Vec<_> = (0..5).map(|id| ByHand::waiting(user(id))).collect();
    GATE.open();
    for (id, call) in (0..).zip(&mut calls) {
        assert_eq!(call.poll(), Poll::Ready(id));
    }
    assert_eq!((RUNS.get(), reentrant("unequal")), (1, 0));
}

#[tokio::test]
async fn a_spawned_execution_does_not_wait_for_itself() {
    #[dedup(spawn, skip(outer))]
    async fn user(id: u64, outer: bool) -> u64 {
        one_turn().await;
        if outer {
            return inner(id).await + 1;
        }
        id
    }
    fn inner(id: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(user(id, false))
    }

    let value = tokio::time::timeout(Duration::from_secs(5), user(1, true)).await;
    assert_eq!(value, Ok(2));
}

#[test]
fn after_a_panic_inside_the_thread_is_no_longer_inside() {
    static GATE: Gate = Gate::new();
    #[dedup(name = "panicked", skip(panics))]
    async fn user(id: u64, panics: bool) -> u64 {
        assert!(!panics, "on purpose");
        GATE.passed().await;
        id
    }

    let mut call = pin!(user(1, true));
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        call.as_mut().poll(&mut cx)
    }));
    assert!(polled.is_err());
    let _leader = ByHand::waiting(user(1, false));
    let _follower = ByHand::waiting(user(1, false));
    assert_eq!(reentrant("panicked"), 0);
}

#[test]
fn scopes_are_told_apart_by_re_entrancy_too() {
    #[dedup(scope = scope, skip(other))]
    async fn user(scope: &Scope, other: Option<&Scope>, id: u64) -> u64 {
        one_turn().await;
        match other {
            Some(other) => Box::pin(user(other, None, id)).await + 1,
            None => id,
        }
    }

    let (a, b) = (Scope::new(), Scope::new());
    let mut in_b = ByHand::waiting(user(&b, None, 1));
    let mut in_a = ByHand::waiting(user(&a, Some(&b), 1));
    // Inside of a's execution, the call in b follows.
    assert!(in_a.poll().is_pending());
    assert_eq!(in_b.poll(), Poll::Ready(1));
    assert_eq!(in_a.poll(), Poll::Ready(2));
    assert_eq!(b.stats().rows[0].shared, 1);
}

/// Finds all that hang together, down to a depth, which is what ends it: not the keys.
#[dedup(skip(depth, gate))]
async fn around(id: u64, depth: u64, gate: &Gate) -> u64 {
    gate.passed().await;
    if depth == 0 {
        return 1;
    }
    Box::pin(around((id + 1) % 3, depth - 1, gate)).await + 1
}

#[tokio::test]
async fn executions_of_one_task_do_not_wait_for_each_other_in_a_circle() {
    let gate = Gate::new();
    let calls = async {
        tokio::join!(
            around(0, 5, &gate),
            around(1, 5, &gate),
            around(2, 5, &gate),
            async { gate.open() }
        )
    };
    let (a, b, c, ()) = tokio::time::timeout(Duration::from_secs(5), calls)
        .await
        .expect("nobody hangs");
    for sum in [a, b, c] {
        assert!((6..=16).contains(&sum), "{sum}");
    }
}

#[test]
fn executions_of_several_threads_do_not_wait_for_each_other_in_a_circle() {
    #[dedup(skip(depth))]
    async fn user(id: u64, depth: u64) -> u64 {
        one_turn().await;
        match depth {
            0 => 1,
            _ => team(id, depth - 1).await + 1,
        }
    }
    #[dedup(skip(depth))]
    async fn team(id: u64, depth: u64) -> u64 {
        one_turn().await;
        match depth {
            0 => 1,
            _ => Box::pin(user(id, depth - 1)).await + 1,
        }
    }

    std::thread::scope(|threads| {
        for thread in 0..4 {
            threads.spawn(move || {
                for _ in 0..2_000 {
                    let sum = if thread % 2 == 0 {
                        block_on(user(1, 4))
                    } else {
                        block_on(team(1, 4))
                    };
                    assert!(sum > 1, "{sum}");
                }
            });
        }
    });
}

#[tokio::test]
async fn nor_does_one_wait_for_itself_through_a_spawned_execution() {
    #[dedup(skip(depth))]
    async fn user(id: u64, depth: u64) -> u64 {
        one_turn().await;
        match depth {
            0 => id,
            _ => team(id, depth - 1).await + 1,
        }
    }
    #[dedup(spawn, skip(depth))]
    async fn team(id: u64, depth: u64) -> u64 {
        one_turn().await;
        match depth {
            0 => id,
            _ => boxed(id, depth - 1).await + 1,
        }
    }
    fn boxed(id: u64, depth: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(user(id, depth))
    }

    let value = tokio::time::timeout(Duration::from_secs(5), user(1, 4)).await;
    assert_eq!(value, Ok(5));
}

#[test]
fn a_call_that_only_waits_beside_another_still_shares() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup(name = "no circle", skip(inner))]
    async fn user(id: u64, inner: &'static [u64]) -> u64 {
        RUNS.next();
        if inner.is_empty() {
            GATE.passed().await;
        }
        let mut sum = id;
        for id in inner {
            sum += Box::pin(user(*id, &[])).await;
        }
        sum
    }

    // Two that wait for the same ones, in either order, and one that waits for those two.
    let _threes = ByHand::waiting(user(3, &[]));
    let _fours = ByHand::waiting(user(4, &[]));
    let _a = ByHand::waiting(user(1, &[3, 4]));
    let _b = ByHand::waiting(user(2, &[4, 3]));
    let _c = ByHand::waiting(user(5, &[1, 2]));
    assert_eq!((RUNS.get(), reentrant("no circle")), (5, 0));
}

#[test]
fn a_call_that_waits_no_more_closes_no_circle() {
    static GIVEN_UP: Gate = Gate::new();
    static END: Gate = Gate::new();
    #[dedup(name = "gives up", skip(outer))]
    async fn user(id: u64, outer: bool) -> u64 {
        match (id, outer) {
            (1, true) => {
                // It waits for the other one, for a while.
                let mut other = ByHand::waiting(user(2, false));
                assert!(other.poll().is_pending());
                drop(other);
                END.passed().await;
            }
            (2, true) => {
                GIVEN_UP.passed().await;
                return Box::pin(user(1, false)).await + 1;
            }
            _ => {}
        }
        id
    }

    let mut two = ByHand::waiting(user(2, true));
    let mut one = ByHand::waiting(user(1, true));
    GIVEN_UP.open();
    assert!(two.poll().is_pending(), "it follows");
    END.open();
    assert_eq!((one.poll(), two.poll()), (Poll::Ready(1), Poll::Ready(2)));
    assert_eq!(reentrant("gives up"), 0);
}

// Here and not with the other stalled ones: a thread that is so deep counts as working on all flights of the process.
#[test]
fn a_leader_that_computes_deep_inside_others_is_never_overtaken() {
    static RUNS: Count = Count::new();
    static BEGUN: Gate = Gate::new();
    #[dedup]
    async fn nested(depth: u64) -> usize {
        if depth > 0 {
            return Box::pin(nested(depth - 1)).await;
        }
        let run = RUNS.next();
        BEGUN.open();
        std::thread::sleep(Duration::from_millis(500));
        run
    }

    let leader = std::thread::spawn(|| block_on(nested(12)));
    block_on(BEGUN.passed());
    let followers: Vec<_> = [0, 5, 11]
        .map(|depth| std::thread::spawn(move || block_on(nested(depth))))
        .into_iter()
        .collect();
    for follower in followers {
        assert_eq!(follower.join().unwrap(), 1);
    }
    assert_eq!(leader.join().unwrap(), 1);
}

/// A loader that looks up parents: of two items in one bulk call, one asks for the other.
#[tokio::test(start_paused = true)]
async fn a_bulk_call_that_asks_for_one_of_its_own_calls_does_not_wait_for_itself() {
    type Answer = Pin<Box<dyn Future<Output = u32> + Send>>;
    fn parent(n: u32) -> Answer {
        Box::pin(depth(n))
    }
    #[dedup]
    #[batch(size = 10, delay_ms = 5)]
    async fn depth(ns: Vec<u32>) -> Vec<u32> {
        let mut depths = Vec::new();
        for n in ns {
            depths.push(if n == 0 { 0 } else { 1 + parent(n - 1).await });
        }
        depths
    }
    let both = async { tokio::join!(depth(3), depth(4)) };
    let depths = tokio::time::timeout(Duration::from_secs(60), both).await;
    assert_eq!(depths.unwrap(), (3, 4));

    let task = tokio::spawn(async { tokio::join!(depth(7), depth(8), depth(9)) });
    let depths = tokio::time::timeout(Duration::from_secs(60), task).await;
    assert_eq!(depths.unwrap().unwrap(), (7, 8, 9));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_batch_calls_it_again_runs_by_itself() {
    type Answer = Pin<Box<dyn Future<Output = u32> + Send>>;
    #[dedup(skip(inside))]
    async fn user(id: u32, inside: bool) -> u32 {
        if inside { id } else { load(id).await }
    }
    fn again(id: u32) -> Answer {
        Box::pin(user(id, true))
    }
    #[batch(size = 2, delay_ms = 5)]
    async fn load(ids: Vec<u32>) -> Vec<u32> {
        let mut users = Vec::new();
        for id in ids {
            users.push(10 * again(id).await);
        }
        users
    }
    let both = async { tokio::join!(user(1, false), user(2, false)) };
    let both = tokio::time::timeout(Duration::from_secs(60), both).await;
    assert_eq!(both.unwrap(), (10, 20));
}
