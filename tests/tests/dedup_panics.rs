//! Panics in every place where user code runs: no caller hangs, the key is free at once, and no lock stays poisoned.

use std::any::Any;
use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;

use piggyback::{Row, Scope, batch, dedup};
use piggyback_tests::by_hand::{ByHand, Count, Gate, block_on, one_turn};

fn row(function: &str) -> Row {
    let mut rows = Scope::global().stats().rows.into_iter();
    rows.find(|row| row.function == function)
        .expect("it was called")
}

/// The payload of a call's panic.
fn panics<R>(call: impl FnOnce() -> R) -> Box<dyn Any + Send> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(_) => panic!("it was to panic"),
        Err(payload) => payload,
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .expect("a message")
}

#[test]
fn a_panic_in_the_body_reaches_every_caller_that_shared_it() {
    static GATE: Gate = Gate::new();
    static RUNS: Count = Count::new();
    #[dedup(name = "panics in the body")]
    async fn user(id: u64) -> u64 {
        if RUNS.next() == 1 {
            GATE.passed().await;
            panic!("no user {id}");
        }
        id
    }

    let mut leader = ByHand::waiting(user(7));
    let mut followers: Vec<_> = (0..3).map(|_| ByHand::waiting(user(7))).collect();
    GATE.open();
    assert_eq!(message(&*panics(|| leader.poll())), "no user 7");
    for follower in &mut followers {
        assert_eq!(follower.wakes(), 1);
        let payload = panics(|| follower.poll());
        let message = message(&*payload);
        assert!(message.contains("panics in the body"), "{message}");
        assert!(message.contains("no user 7"), "{message}");
    }
    // The key was free at once.
    assert_eq!(block_on(user(7)), 7);
    let row = row("panics in the body");
    assert_eq!((row.in_flight, row.waiting, row.panics), (0, 0, 1));
}

#[test]
fn the_leader_gets_the_original_payload() {
    static GATE: Gate = Gate::new();
    #[derive(Debug, PartialEq)]
    struct Payload(u64);
    #[dedup(name = "payload")]
    async fn user(id: u64) -> u64 {
        GATE.passed().await;
        panic_any(Payload(id))
    }

    let mut leader = ByHand::waiting(user(7));
    let mut follower = ByHand::waiting(user(7));
    GATE.open();
    let payload = panics(|| leader.poll());
    assert_eq!(payload.downcast_ref(), Some(&Payload(7)));
    assert!(message(&*panics(|| follower.poll())).contains("payload"));
    // A lone one, too; in the first poll as in a later one.
    let payload = panics(|| block_on(user(8)));
    assert_eq!(payload.downcast_ref(), Some(&Payload(8)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn panics_on_many_tasks_hang_no_caller() {
    #[dedup]
    async fn user(id: u64) -> u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        panic!("no user {id}")
    }

    for _ in 0..20 {
        let calls: Vec<_> = (0..50).map(|n| tokio::spawn(user(n % 4))).collect();
        for call in calls {
            assert!(call.await.unwrap_err().is_panic());
        }
    }
}

#[test]
fn a_leader_that_took_over_panics_like_any_other() {
    static GATE: Gate = Gate::new();
    #[dedup]
    async fn user(id: u64) -> u64 {
        GATE.passed().await;
        panic!("no user {id}")
    }

    let leader = ByHand::waiting(user(1));
    let mut second = ByHand::waiting(user(1));
    let mut third = ByHand::waiting(user(1));
    drop(leader);
    assert!(second.poll().is_pending());
    GATE.open();
    assert_eq!(message(&*panics(|| second.poll())), "no user 1");
    assert!(message(&*panics(|| third.poll())).contains("no user 1"));
}

#[test]
fn a_panic_in_a_dropped_body_still_hands_over() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    static RUNS: Count = Count::new();
    #[dedup]
    async fn user(id: u64) -> u64 {
        let bomb = (RUNS.next() == 1).then(|| Bomb);
        one_turn().await;
        std::mem::forget(bomb);
        id
    }

    let leader = ByHand::waiting(user(1));
    let mut follower = ByHand::waiting(user(1));
    panics(|| drop(leader));
    assert_eq!(follower.wakes(), 1);
    assert!(follower.takes_over().is_pending());
    assert_eq!(follower.poll(), Poll::Ready(1));
}

#[test]
fn a_panic_in_a_values_clone_affects_one_caller() {
    static GATE: Gate = Gate::new();
    static ARMED: AtomicBool = AtomicBool::new(false);
    #[derive(Debug, PartialEq)]
    struct Value;
    impl Clone for Value {
        fn clone(&self) -> Self {
            assert!(!ARMED.swap(false, SeqCst), "on purpose");
            Self
        }
    }
    #[dedup(name = "clone panics")]
    async fn value(id: u64) -> Value {
        let _ = id;
        GATE.passed().await;
        Value
    }

    let mut calls: Vec<_> = (0..3).map(|_| ByHand::waiting(value(1))).collect();
    GATE.open();
    for (n, call) in (0..).zip(&mut calls) {
        if n == 1 {
            ARMED.store(true, SeqCst);
            panics(|| call.poll());
        } else {
            assert_eq!(call.poll(), Poll::Ready(Value));
        }
    }
    assert_eq!(row("clone panics").in_flight, 0);
}

#[test]
fn a_leader_whose_clone_panics_has_served_its_followers() {
    static GATE: Gate = Gate::new();
    static ARMED: AtomicBool = AtomicBool::new(true);
    #[derive(Debug, PartialEq)]
    struct Value;
    impl Clone for Value {
        fn clone(&self) -> Self {
            assert!(!ARMED.swap(false, SeqCst), "on purpose");
            Self
        }
    }
    #[dedup(name = "leader's clone panics")]
    async fn value(id: u64) -> Value {
        let _ = id;
        GATE.passed().await;
        Value
    }

    let mut leader = ByHand::waiting(value(1));
    let mut followers: Vec<_> = (0..3).map(|_| ByHand::waiting(value(1))).collect();
    GATE.open();
    panics(|| leader.poll());
    for follower in &mut followers {
        assert_eq!((follower.wakes(), follower.poll()), (1, Poll::Ready(Value)));
    }
    assert_eq!(row("leader's clone panics").in_flight, 0);
}

#[test]
fn a_panic_in_share_err_or_clone_with_affects_one_caller() {
    static GATE: Gate = Gate::new();
    static ARMED: Count = Count::new();
    #[derive(Debug)]
    struct Failed;
    fn share(_: Arc<Failed>) -> Failed {
        assert!(ARMED.next() != 2, "on purpose");
        Failed
    }
    #[dedup(share_err = share)]
    async fn fails(id: u64) -> Result<u64, Failed> {
        GATE.passed().await;
        if id == 0 { Ok(id) } else { Err(Failed) }
    }
    static COPIES: Count = Count::new();
    #[dedup(clone_with = |value: &std::cell::Cell<u64>| {
        assert!(COPIES.next() != 2, "on purpose");
        value.clone()
    })]
    async fn copies(id: u64) -> std::cell::Cell<u64> {
        GATE.passed().await;
        std::cell::Cell::new(id)
    }

    let mut failing: Vec<_> = (0..4).map(|_| ByHand::waiting(fails(1))).collect();
    let mut copying: Vec<_> = (0..4).map(|_| ByHand::waiting(copies(1))).collect();
    GATE.open();
    for (n, (failing, copying)) in (1..).zip(failing.iter_mut().zip(&mut copying)) {
        if n == 2 {
            panics(|| failing.poll());
            panics(|| copying.poll());
        } else {
            assert!(matches!(failing.poll(), Poll::Ready(Err(Failed))));
            assert_eq!(copying.poll(), Poll::Ready(std::cell::Cell::new(1)));
        }
    }
}

/// A key that panics in one of its implementations while that one is armed on this thread.
#[derive(Debug, PartialEq, Eq)]
struct Key(u64);
#[derive(Debug)]
struct OwnedKey(Key);

thread_local! {
    static ARMED: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

fn explode(what: &'static str) {
    if ARMED.get() == what {
        ARMED.set("");
        panic!("{what} panics on purpose");
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        explode("hash");
        self.0.hash(state);
    }
}

#[derive(Debug, Eq)]
struct Compared(u64);
impl PartialEq for Compared {
    fn eq(&self, other: &Self) -> bool {
        explode("eq");
        self.0 == other.0
    }
}
impl Hash for Compared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl Clone for Compared {
    fn clone(&self) -> Self {
        explode("clone");
        Self(self.0)
    }
}

impl ToOwned for Key {
    type Owned = OwnedKey;
    fn to_owned(&self) -> OwnedKey {
        explode("to_owned");
        OwnedKey(Key(self.0))
    }
}
impl Borrow<Key> for OwnedKey {
    fn borrow(&self) -> &Key {
        &self.0
    }
}
impl Drop for OwnedKey {
    fn drop(&mut self) {
        explode("drop");
    }
}

#[test]
fn a_panic_in_a_key_affects_one_call() {
    static GATE: Gate = Gate::new();
    #[dedup(name = "key panics")]
    async fn user(key: &Key, other: Compared) -> u64 {
        GATE.passed().await;
        key.0 + other.0
    }

    // In a flight's way, and beside it.
    const ONE: &Key = &Key(1);
    const TWO: &Key = &Key(2);
    let mut leader = ByHand::waiting(user(ONE, Compared(1)));
    for (what, key) in [
        ("hash", 1),
        ("eq", 1),
        ("hash", 2),
        ("to_owned", 2),
        ("clone", 2),
    ] {
        ARMED.set(what);
        let key = Key(key);
        let mut call = ByHand::new(user(&key, Compared(1)));
        let payload = panics(|| call.poll());
        assert!(message(&*payload).starts_with(what));
        drop(call);
        assert_eq!(row("key panics").in_flight, 1, "after {what}");
    }
    let mut follower = ByHand::waiting(user(ONE, Compared(1)));
    let mut other = ByHand::waiting(user(TWO, Compared(1)));
    let mut others = ByHand::waiting(user(TWO, Compared(1)));
    GATE.open();
    // The drop of a key affects no caller.
    ARMED.set("drop");
    assert_eq!(leader.poll(), Poll::Ready(2));
    assert_eq!(ARMED.get(), "");
    assert_eq!(follower.poll(), Poll::Ready(2));
    ARMED.set("drop");
    drop(other);
    other = ByHand::new(user(TWO, Compared(1)));
    assert_eq!(others.takes_over(), Poll::Ready(3));
    assert_eq!(other.poll(), Poll::Ready(3));
    ARMED.set("");
    assert_eq!(row("key panics").in_flight, 0);
}

#[test]
fn no_shard_is_poisoned() {
    #[dedup]
    async fn user(key: &Key, other: Compared) -> u64 {
        one_turn().await;
        key.0 + other.0
    }

    for n in 0..300 {
        ARMED.set(["to_owned", "clone"][n as usize % 2]);
        panics(|| block_on(user(&Key(n), Compared(0))));
    }
    ARMED.set("");
    for n in 0..300 {
        assert_eq!(block_on(user(&Key(n), Compared(0))), n);
    }
}

/// A waker that panics when it is woken.
struct WakePanics(Count);

impl Wake for WakePanics {
    fn wake(self: Arc<Self>) {
        self.0.next();
        panic!("on purpose");
    }
}

/// A waker whose last clone panics when it is dropped.
struct DropPanics;

impl Wake for DropPanics {
    fn wake(self: Arc<Self>) {
        std::mem::forget(self);
    }
}

impl Drop for DropPanics {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

/// A waker that panics when it is cloned.
fn clone_panics() -> Waker {
    const VTABLE: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("on purpose"), |_| {}, |_| {}, |_| {});
    // SAFETY: no function of this table looks at the pointer.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

#[test]
fn a_waker_that_panics_when_woken_prevents_no_other_wake_up() {
    static GATE: Gate = Gate::new();
    #[dedup(name = "wake panics")]
    async fn user(id: u64) -> u64 {
        GATE.passed().await;
        id
    }

    let bomb = Arc::new(WakePanics(Count::new()));
    let waker = bomb.clone().into();
    let mut leader = ByHand::waiting(user(1));
    let dropped = ByHand::waiting(user(2));
    let mut all = Vec::new();
    for n in 0..9 {
        let mut ones = ByHand::new(user(1));
        let mut twos = ByHand::new(user(2));
        if n % 3 == 0 {
            assert!(ones.poll_with(&waker).is_pending());
            assert!(twos.poll_with(&waker).is_pending());
        } else {
            assert!(ones.poll().is_pending());
            assert!(twos.poll().is_pending());
        }
        all.push((n, ones, twos));
    }
    // At a hand-over, and at a landing.
    drop(dropped);
    assert_eq!(bomb.0.get(), 3);
    GATE.open();
    assert_eq!(leader.poll(), Poll::Ready(1));
    assert_eq!(bomb.0.get(), 6);
    for (n, mut ones, mut twos) in all {
        let wakes = usize::from(n % 3 != 0);
        assert_eq!((ones.wakes(), twos.wakes()), (wakes, wakes));
        assert_eq!(ones.poll(), Poll::Ready(1));
        if n == 0 {
            assert!(twos.poll().is_pending(), "it takes over");
        }
        assert_eq!(twos.poll(), Poll::Ready(2));
    }
    assert_eq!(row("wake panics").in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_leaders_waker_may_panic_too() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        if run == 1 {
            GATE.passed().await;
        }
        (id, run)
    }

    let bomb = Arc::new(WakePanics(Count::new()));
    let waker = bomb.clone().into();
    let mut leader = ByHand::new(user(1));
    assert!(leader.poll_with(&waker).is_pending());
    let mut follower = ByHand::new(user(1));
    assert!(follower.poll_with(&waker).is_pending());
    assert_eq!(user(1).await, (1, 2));
    // The leader is prodded, and the follower learns of the vacancy: it may be woken after the caller that took over.
    let start = std::time::Instant::now();
    while bomb.0.get() < 2 {
        assert!(start.elapsed().as_secs() < 20, "a waker was not woken");
        std::thread::yield_now();
    }
    assert_eq!(bomb.0.get(), 2);
    assert_eq!(follower.poll(), Poll::Ready((1, 2)));
    GATE.open_quietly();
    assert_eq!(leader.poll(), Poll::Ready((1, 1)));
}

#[test]
fn a_waker_that_panics_when_cloned_affects_one_caller() {
    static RUNS: Count = Count::new();
    static GATE: Gate = Gate::new();
    #[dedup(name = "waker's clone panics")]
    async fn user(id: u64) -> (u64, usize) {
        let run = RUNS.next();
        if run == 1 {
            GATE.passed().await;
        } else {
            GATE.seen_open().await;
        }
        (id, run)
    }

    let waker = clone_panics();
    // A follower: nothing changes for the others.
    let mut leader = ByHand::waiting(user(1));
    let mut follower = ByHand::waiting(user(1));
    let mut bomb = ByHand::new(user(1));
    panics(|| bomb.poll_with(&waker));
    drop(bomb);
    assert_eq!(row("waker's clone panics").waiting, 1);
    // A follower on a later poll.
    panics(|| follower.poll_with(&waker));
    drop(follower);
    assert_eq!(row("waker's clone panics").waiting, 0);
    assert!(leader.poll().is_pending());
    let mut heir = ByHand::waiting(user(1));
    drop(leader);
    assert!(heir.poll().is_pending());
    let mut last = ByHand::waiting(user(1));
    // A leader that goes on waiting: its place is free.
    panics(|| heir.poll_with(&waker));
    drop(heir);
    assert!(last.poll().is_pending());
    GATE.open();
    assert_eq!(last.poll(), Poll::Ready((1, 3)));
    // A lone leader's first poll.
    static NEVER: Gate = Gate::new();
    #[dedup(name = "lone leader's waker panics")]
    async fn lone(id: u64) -> u64 {
        NEVER.seen_open().await;
        id
    }
    let mut bomb = ByHand::new(lone(1));
    panics(|| bomb.poll_with(&waker));
    drop(bomb);
    assert_eq!(row("lone leader's waker panics").in_flight, 0);
}

#[test]
fn a_waker_that_panics_when_dropped_affects_no_caller() {
    static RUNS: Count = Count::new();
    #[dedup(name = "waker's drop panics", skip(turns))]
    async fn user(id: u64, turns: usize) -> u64 {
        RUNS.next();
        for _ in 0..turns {
            // Without a clone of the waker: the flight has the only one.
            let mut polled = false;
            std::future::poll_fn(|_| {
                if std::mem::replace(&mut polled, true) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
        id
    }
    /// Leaves the only clone with the flight.
    fn poll_and_leave<F: Future>(call: &mut ByHand<F>) {
        let bomb = Arc::new(DropPanics);
        let waker = bomb.clone().into();
        assert!(call.poll_with(&waker).is_pending());
        // The two of ours go, and none of them is the last.
        drop(waker);
        drop(bomb);
    }

    // A lone leader's waker is replaced, and dropped with the entry.
    let mut leader = ByHand::new(user(1, 3));
    poll_and_leave(&mut leader);
    assert!(leader.poll().is_pending());
    poll_and_leave(&mut leader);
    assert_eq!(leader.poll(), Poll::Ready(1));
    let mut leader = ByHand::new(user(1, 3));
    poll_and_leave(&mut leader);
    drop(leader);

    // A shared one's, and its followers'.
    let mut leader = ByHand::new(user(1, 4));
    let mut follower = ByHand::new(user(1, 0));
    poll_and_leave(&mut leader);
    poll_and_leave(&mut follower);
    poll_and_leave(&mut leader);
    poll_and_leave(&mut follower);
    assert!(leader.poll().is_pending());
    assert!(follower.poll().is_pending());
    poll_and_leave(&mut follower);
    let mut leaves = ByHand::new(user(1, 0));
    poll_and_leave(&mut leaves);
    drop(leaves);
    poll_and_leave(&mut leader);
    assert_eq!(leader.poll(), Poll::Ready(1));
    assert_eq!(follower.poll(), Poll::Ready(1));
    assert_eq!(row("waker's drop panics").in_flight, 0);
}

#[test]
fn a_waker_may_call_the_function_that_wakes_it() {
    static GATE: Gate = Gate::new();
    static AGAIN: Count = Count::new();
    #[dedup]
    async fn user(id: u64) -> u64 {
        GATE.passed().await;
        id
    }
    struct CallsAgain;
    impl Wake for CallsAgain {
        fn wake(self: Arc<Self>) {
            AGAIN.next();
            let _ = ByHand::new(user(1)).poll();
            Scope::global().stats();
        }
    }

    let waker = Arc::new(CallsAgain).into();
    let leader = ByHand::waiting(user(1));
    let mut follower = ByHand::new(user(1));
    assert!(follower.poll_with(&waker).is_pending());
    drop(leader);
    assert_eq!(AGAIN.get(), 1);
    let mut last = ByHand::new(user(1));
    assert!(follower.poll().is_pending());
    assert!(last.poll_with(&waker).is_pending());
    GATE.open();
    assert_eq!(follower.poll(), Poll::Ready(1));
    assert_eq!(AGAIN.get(), 2);
    assert_eq!(last.poll(), Poll::Ready(1));
}

#[tokio::test]
async fn a_loaders_leader_that_panics_as_it_takes_over_leaves_no_item() {
    #[dedup]
    #[batch(size = 10, delay_ms = 60_000, scope = scope)]
    async fn load(scope: &Scope, ids: Vec<Arc<u64>>) -> Vec<u64> {
        ids.iter().map(|id| **id).collect()
    }
    let (scope, id) = (Scope::new(), Arc::new(1));
    let leader = ByHand::waiting(load(&scope, id.clone()));
    let mut heir = ByHand::waiting(load(&scope, id.clone()));
    // Its place in the batch is left to the heir, which takes over, and then panics.
    drop(leader);
    assert!(heir.poll().is_pending());
    panics(|| heir.poll_with(&clone_panics()));
    drop(heir);
    for row in scope.stats().rows {
        assert_eq!((row.in_flight, row.waiting), (0, 0), "{row:?}");
    }
    // The batch's task, which is woken to end, has none either.
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&id), 1);
}
