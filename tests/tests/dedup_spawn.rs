//! `spawn`: the execution is a task. It survives the caller that began it, and ends when the last caller has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::task::{Poll, Wake};
use std::thread;
use std::time::Duration;

use piggyback::{Row, Scope, dedup};
use piggyback_tests::by_hand::{ByHand, Count, Gate, block_on};
use tokio::runtime;
use tokio::task::yield_now;

fn row(function: &str) -> Row {
    let mut rows = Scope::global().stats().rows.into_iter();
    rows.find(|row| row.function == function)
        .expect("it was called")
}

fn runtime() -> runtime::Runtime {
    runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_execution_survives_the_caller_that_began_it() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup(spawn)]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        GATE.passed().await;
        (id, run)
    }

    let opener = ByHand::waiting(user(1));
    let follower = tokio::spawn(user(1));
    while RUNS.get() == 0 {
        yield_now().await;
    }
    yield_now().await;
    drop(opener);
    let late = tokio::spawn(user(1));
    yield_now().await;
    GATE.open();
    assert_eq!(follower.await.unwrap(), (1, 1));
    assert_eq!(late.await.unwrap(), (1, 1));
    assert_eq!(RUNS.get(), 1);
}

#[tokio::test]
async fn it_continues_while_no_caller_is_polled() {
    static RUNS: Count = Count::new();
    #[dedup(spawn)]
    async fn user(id: u64) -> u64 {
        yield_now().await;
        RUNS.next();
        id
    }

    let mut parked = ByHand::waiting(user(1));
    while RUNS.get() == 0 {
        yield_now().await;
    }
    yield_now().await;
    assert_eq!(parked.poll(), Poll::Ready(1));
}

#[tokio::test]
async fn it_is_aborted_when_the_last_caller_has_left() {
    static ENDED: Count = Count::new();
    static BEGUN: Count = Count::new();
    struct Held;
    impl Drop for Held {
        fn drop(&mut self) {
            ENDED.next();
        }
    }
    #[dedup(spawn, name = "aborted")]
    async fn user(id: u64) -> u64 {
        let _held = Held;
        BEGUN.next();
        std::future::pending::<()>().await;
        id
    }

    for round in 1..=20 {
        let opener = ByHand::waiting(user(1));
        let follower = ByHand::waiting(user(1));
        while BEGUN.get() < round {
            yield_now().await;
        }
        drop(opener);
        for _ in 0..5 {
            yield_now().await;
        }
        assert_eq!(ENDED.get(), round - 1);
        drop(follower);
        // The key is gone at once, and the body soon.
        assert_eq!(row("aborted").in_flight, 0);
        while ENDED.get() < round {
            yield_now().await;
        }
    }
}

#[tokio::test]
async fn an_execution_abandoned_before_its_first_poll_never_begins() {
    static BEGUN: Count = Count::new();
    #[dedup(spawn)]
    async fn user(id: u64) -> u64 {
        BEGUN.next();
        id
    }

    drop(ByHand::waiting(user(1)));
    for _ in 0..10 {
        yield_now().await;
    }
    assert_eq!(BEGUN.get(), 0);
}

#[test]
fn a_caller_on_another_runtime_restarts_it_when_its_runtime_stops() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup(spawn, name = "runtime dies")]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        GATE.passed().await;
        (id, run)
    }

    for round in 0..10 {
        let before = RUNS.get();
        let (dies, lives) = (runtime(), runtime());
        let opener = dies.spawn(user(round));
        while RUNS.get() == before {
            thread::yield_now();
        }
        let followers = [(); 5].map(|()| lives.spawn(user(round)));
        while row("runtime dies").waiting < 5 {
            thread::yield_now();
        }
        dies.shutdown_timeout(Duration::from_secs(5));
        while RUNS.get() < before + 2 {
            thread::yield_now();
        }
        if round == 9 {
            GATE.open();
        }
        lives.block_on(async {
            assert!(opener.await.unwrap_err().is_cancelled());
            for follower in followers {
                if round == 9 {
                    assert_eq!(follower.await.unwrap(), (round, before + 2));
                } else {
                    follower.abort();
                }
            }
        });
        assert_eq!(RUNS.get(), before + 2);
    }
}

#[test]
fn a_runtime_that_is_not_driven_does_not_block_callers_on_others() {
    static RUNS: Count = Count::new();
    #[dedup(spawn)]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        tokio::time::sleep(Duration::from_millis(5)).await;
        (id, run)
    }

    let undriven = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let opener = undriven.spawn(user(1));
    undriven.block_on(async {
        while RUNS.get() == 0 {
            yield_now().await;
        }
    });
    let began = std::time::Instant::now();
    assert_eq!(runtime().block_on(user(1)), (1, 2));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(undriven.block_on(opener).unwrap(), (1, 2));
}

#[tokio::test]
async fn a_panic_reaches_every_caller() {
    static GATE: Gate = Gate::new();
    static RUNS: Count = Count::new();
    #[dedup(spawn, name = "spawned panic")]
    async fn user(id: u64) -> u64 {
        if RUNS.next() == 1 {
            GATE.passed().await;
            panic!("no user {id}");
        }
        id
    }

    let calls = [(); 3].map(|()| tokio::spawn(user(7)));
    yield_now().await;
    GATE.open();
    for call in calls {
        let payload = call.await.unwrap_err().into_panic();
        let message = payload.downcast_ref::<String>().unwrap();
        assert!(message.contains("spawned panic"), "{message}");
        assert!(message.contains("no user 7"), "{message}");
    }
    assert_eq!(user(7).await, 7);
    assert_eq!(row("spawned panic").panics, 1);
}

#[tokio::test]
async fn a_single_caller_gets_the_original() {
    #[derive(Debug)]
    struct Failed;
    #[dedup(spawn, share_err = |_| panic!("the original"))]
    async fn fails(id: u64) -> Result<u64, Failed> {
        yield_now().await;
        let _ = id;
        Err(Failed)
    }
    #[dedup(spawn, clone_with = |_: &std::cell::Cell<u64>| panic!("the original"))]
    async fn cell(id: u64) -> std::cell::Cell<u64> {
        yield_now().await;
        std::cell::Cell::new(id)
    }

    assert!(matches!(fails(1).await, Err(Failed)));
    assert_eq!(cell(1).await.get(), 1);
}

#[test]
fn outside_of_a_runtime_it_says_what_it_needs() {
    #[dedup(spawn, name = "no runtime")]
    async fn user(id: u64) -> u64 {
        id
    }

    let payload = std::panic::catch_unwind(|| block_on(user(1))).unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("no runtime") && message.contains("tokio"),
        "{message}"
    );
    // The key is free.
    assert_eq!(row("no runtime").in_flight, 0);
    assert_eq!(runtime().block_on(user(1)), 1);
}

#[tokio::test]
async fn borrowed_arguments_are_used_through_their_owned_forms() {
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Users {
        table: String,
    }
    impl Users {
        #[dedup(spawn)]
        async fn user(&self, name: &str, tags: &[&str], page: Option<&u32>) -> String {
            yield_now().await;
            format!("{}/{name}/{}/{page:?}", self.table, tags.join("+"))
        }
        #[dedup(spawn, key(self = self.table.as_str()))]
        async fn by_arc(self: Arc<Self>, id: u64) -> String {
            yield_now().await;
            format!("{}/{id}", self.table)
        }
    }

    let call = {
        let users = Users {
            table: "users".into(),
        };
        async move {
            let (name, page) = (String::from("kim"), 3);
            users.user(&name, &["a", "b"], Some(&page)).await
        }
    };
    assert_eq!(call.await, "users/kim/a+b/Some(3)");
    let users = Arc::new(Users { table: "t".into() });
    assert_eq!(users.by_arc(1).await, "t/1");
}

#[tokio::test]
async fn callers_beyond_max_followers_run_in_place() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup(spawn, max_followers = 1, name = "spawned followers")]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        GATE.passed().await;
        (id, run)
    }

    let mut calls = [(); 4].map(|()| ByHand::waiting(user(1)));
    yield_now().await;
    assert_eq!(RUNS.get(), 3);
    GATE.open();
    yield_now().await;
    let mut runs: Vec<_> = calls
        .iter_mut()
        .map(|call| match call.poll() {
            Poll::Ready((1, run)) => run,
            other => panic!("{other:?}"),
        })
        .collect();
    runs.sort_unstable();
    assert_eq!(runs, [1, 2, 3, 3]);
}

#[tokio::test]
async fn stats_may_be_asked_at_any_time() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    #[dedup(spawn, name = "spawned stats")]
    async fn user(id: u64) -> u64 {
        std::future::pending::<()>().await;
        id
    }
    /// Asks while the last caller is on its way out.
    struct Asks;
    impl Wake for Asks {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Asks {
        fn drop(&mut self) {
            assert_eq!(row("spawned stats").waiting, 0);
            SEEN.fetch_add(1, SeqCst);
        }
    }

    let mut opener = ByHand::new(user(1));
    assert!(opener.poll_with(&Arc::new(Asks).into()).is_pending());
    drop(opener);
    assert_eq!(SEEN.load(SeqCst), 1);
}

#[test]
fn callers_that_come_and_go_on_many_threads_never_hang() {
    static ALIVE: AtomicU64 = AtomicU64::new(0);
    struct Alive;
    impl Alive {
        fn new() -> Self {
            ALIVE.fetch_add(1, SeqCst);
            Self
        }
    }
    impl Drop for Alive {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, SeqCst);
        }
    }
    #[dedup(spawn, name = "come and go")]
    async fn user(id: u64) -> u64 {
        let _alive = Alive::new();
        for _ in 0..id {
            yield_now().await;
        }
        id
    }

    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    thread::scope(|threads| {
        for seed in 1..4u64 {
            let handle = runtime.handle().clone();
            threads.spawn(move || {
                let _inside = handle.enter();
                let mut random = seed;
                for _ in 0..2_000 {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let (id, polls) = ((random >> 33) % 4, (random >> 40) % 4);
                    let mut call = ByHand::new(user(id));
                    let given_up = (0..polls).all(|_| call.poll().is_pending());
                    drop(call);
                    if !given_up {
                        assert_eq!(block_on(user(id)), id);
                    }
                }
            });
        }
    });
    let began = std::time::Instant::now();
    while ALIVE.load(SeqCst) > 0 || row("come and go").in_flight > 0 {
        assert!(began.elapsed() < Duration::from_secs(5), "bodies are left");
        thread::yield_now();
    }
}
