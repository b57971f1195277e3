//! Calls that share an execution, and calls that do not.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use piggyback::dedup;
use piggyback_tests::by_hand::{ByHand, Count, Gate, block_on, one_turn};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn overlapping_equal_calls_share_one_execution() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup(name = "overlapping")]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        GATE.passed().await;
        (id, run)
    }

    let calls: Vec<_> = (0..300).map(|n| tokio::spawn(user(n % 3))).collect();
    while waiting("overlapping") < 297 {
        tokio::task::yield_now().await;
    }
    GATE.open();
    let mut runs = [0; 3];
    for (n, call) in (0..300).zip(calls) {
        let (id, run) = call.await.unwrap();
        assert_eq!(id, n % 3);
        let known = &mut runs[id as usize];
        assert!(*known == 0 || *known == run, "two executions for {id}");
        *known = run;
    }
    assert_eq!(RUNS.get(), 3);
}

fn waiting(function: &str) -> u64 {
    let stats = piggyback::Scope::global().stats();
    let row = stats.rows.iter().find(|row| row.function == function);
    row.map_or(0, |row| row.waiting)
}

#[test]
fn a_call_begins_when_it_is_first_polled() {
    static RUNS: Count = Count::new();
    #[dedup]
    async fn user(id: u64) -> usize {
        let _ = id;
        let run = RUNS.next();
        one_turn().await;
        run
    }

    let early = user(1);
    assert_eq!(RUNS.get(), 0);
    let mut late = ByHand::waiting(user(1));
    assert_eq!(late.poll(), Poll::Ready(1));
    // Made while the first was up or before, polled after it has ended: a new execution.
    assert_eq!(block_on(early), 2);
}

#[test]
fn a_call_after_any_caller_has_the_result_starts_a_new_execution() {
    static STARTED: Count = Count::new();
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    #[dedup]
    async fn generation() -> usize {
        let started = STARTED.next();
        one_turn().await;
        started
    }

    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..5_000 {
                    let seen = SEEN.load(SeqCst);
                    let mine = block_on(generation());
                    assert!(
                        mine > seen,
                        "got {mine} although {seen} had been handed out"
                    );
                    SEEN.fetch_max(mine, SeqCst);
                }
            });
        }
    });
}

#[test]
fn an_error_is_shared_like_a_value() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup]
    async fn user(id: u64) -> Result<u64, String> {
        RUNS.next();
        GATE.passed().await;
        Err(format!("no user {id}"))
    }

    let mut calls: Vec<_> = (0..10).map(|_| ByHand::waiting(user(7))).collect();
    GATE.open();
    for call in &mut calls {
        // No convoy: no call runs the body again after the one that failed.
        assert_eq!(call.poll(), Poll::Ready(Err("no user 7".into())));
    }
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn a_lone_call_gets_the_original() {
    static CLONES: Count = Count::new();
    #[derive(Debug)]
    struct Value;
    impl Clone for Value {
        fn clone(&self) -> Self {
            CLONES.next();
            Self
        }
    }
    #[dedup]
    async fn value(id: u64) -> Value {
        let _ = id;
        one_turn().await;
        Value
    }

    block_on(value(1));
    // Nor does one whose followers have all gone pay for a clone.
    let mut leader = ByHand::waiting(value(2));
    drop(ByHand::waiting(value(2)));
    assert!(leader.poll().is_ready());
    assert_eq!(CLONES.get(), 0);
}

#[test]
fn the_body_borrows_from_its_caller_and_needs_no_runtime() {
    struct Pool<'a>(&'a AtomicUsize);
    #[dedup(skip(pool))]
    async fn user(pool: &Pool<'_>, name: &str) -> String {
        pool.0.fetch_add(1, SeqCst);
        one_turn().await;
        pool.0.fetch_add(1, SeqCst);
        name.to_owned()
    }

    let polls = AtomicUsize::new(0);
    let (pool, name) = (Pool(&polls), String::from("kim"));
    let mut leader = ByHand::waiting(user(&pool, &name));
    let mut follower = ByHand::waiting(user(&pool, &name));
    assert_eq!(leader.poll(), Poll::Ready("kim".into()));
    assert_eq!(follower.poll(), Poll::Ready("kim".into()));
    assert_eq!(polls.load(SeqCst), 2);
}

#[test]
fn keys_with_equal_hashes_are_told_apart() {
    #[derive(Clone, PartialEq, Eq)]
    struct Collides(u64);
    impl Hash for Collides {
        fn hash<H: Hasher>(&self, state: &mut H) {
            0u64.hash(state);
        }
    }
    static GATE: Gate = Gate::new();
    #[dedup]
    async fn echo(key: Collides) -> u64 {
        GATE.passed().await;
        key.0
    }

    let mut calls: Vec<_> = (0..100)
        .map(|n| ByHand::waiting(echo(Collides(n % 50))))
        .collect();
    // Some end, and the entries of the others are still found.
    calls.drain(10..20);
    GATE.open();
    for (n, call) in (0..10).chain(20..100).zip(&mut calls) {
        let mut polled = call.poll();
        if polled.is_pending() {
            // A follower of one that has gone, or whose leader comes later in this loop.
            polled = call.poll();
        }
        match polled {
            Poll::Ready(value) => assert_eq!(value, n % 50),
            Poll::Pending => panic!("{n} waits for an unequal key"),
        }
    }
}

#[test]
fn a_slow_key_blocks_no_other_key() {
    static SLOW: Gate = Gate::new();
    #[dedup]
    async fn user(id: u64) -> u64 {
        if id == 0 {
            SLOW.passed().await;
        }
        id
    }

    // More keys than there are shards: some are in the slow one's.
    let mut slow = ByHand::waiting(user(0));
    for id in 1..1_000 {
        assert_eq!(ByHand::new(user(id)).poll(), Poll::Ready(id));
    }
    SLOW.open();
    assert_eq!(slow.poll(), Poll::Ready(0));
}

#[test]
fn followers_do_not_spin() {
    static GATE: Gate = Gate::new();
    #[dedup]
    async fn user(id: u64) -> u64 {
        GATE.passed().await;
        id
    }

    // A machine that is late by more makes the leader look stalled, and then it is woken.
    let in_time = (0..50).any(|id| {
        let begun = Instant::now();
        let leader = ByHand::waiting(user(id));
        let follower = ByHand::waiting(user(id));
        thread::sleep(Duration::from_millis(30));
        let wakes = (leader.wakes(), follower.wakes());
        let in_time = begun.elapsed() < Duration::from_millis(45);
        if in_time {
            assert_eq!(wakes, (0, 0));
        }
        in_time
    });
    assert!(in_time, "the machine is too slow to tell");
}

#[test]
fn a_follower_is_woken_by_the_waker_of_its_last_poll() {
    static GATE: Gate = Gate::new();
    #[dedup]
    async fn user(id: u64) -> u64 {
        GATE.passed().await;
        id
    }

    let mut leader = ByHand::waiting(user(1));
    let mut moved = ByHand::waiting(user(1));
    let waker = Arc::new(Moved(Count::new()));
    assert!(moved.poll_with(&waker.clone().into()).is_pending());
    GATE.open();
    assert_eq!(leader.poll(), Poll::Ready(1));
    assert_eq!((moved.wakes(), waker.0.get()), (0, 1));
    assert_eq!(moved.poll(), Poll::Ready(1));
}

struct Moved(Count);

impl std::task::Wake for Moved {
    fn wake(self: Arc<Self>) {
        self.0.next();
    }
}

#[test]
fn many_threads_on_few_keys_never_get_anothers_value() {
    #[dedup]
    async fn square(id: u64) -> u64 {
        one_turn().await;
        id * id
    }

    thread::scope(|threads| {
        for thread in 0..4u64 {
            threads.spawn(move || {
                for n in 0..20_000 {
                    let id = (n * 7 + thread) % 5;
                    assert_eq!(block_on(square(id)), id * id);
                }
            });
        }
    });
}
