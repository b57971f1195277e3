//! Calls of several processes on the store in memory.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::engine::{Closed, Joined, Looked, Renewed, Reply, Terms};
use super::*;
use crate::sync::Mutex;

fn fleets<const N: usize>() -> (Memory, [Fleet; N]) {
    let store = Memory::new();
    let fleets = std::array::from_fn(|_| Fleet::new("test", store.process()).with_build("1"));
    (store, fleets)
}

/// Waits for others to do what a timer of theirs makes them do.
async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A body that waits until it is let go.
#[derive(Default)]
struct Gate(AtomicU32, AtomicBool);

impl Gate {
    async fn body<T>(&self, value: T) -> T {
        self.0.fetch_add(1, SeqCst);
        while !self.1.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        value
    }

    fn begun(&self) -> u32 {
        self.0.load(SeqCst)
    }

    fn open(&self) {
        self.1.store(true, SeqCst);
    }
}

#[tokio::test]
async fn overlapping_calls_of_all_processes_share_one_execution() {
    let (store, fleets) = fleets::<8>();
    let gate = Arc::new(Gate::default());
    let calls: Vec<_> = fleets
        .iter()
        .cloned()
        .enumerate()
        .map(|(n, fleet)| {
            let gate = gate.clone();
            tokio::spawn(async move { fleet.share("f", &1, gate.body(n)).await })
        })
        .collect();
    until("one begins", || gate.begun() == 1).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    gate.open();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.expect("no panic"));
    }
    assert_eq!(gate.begun(), 1);
    assert!(
        results.iter().all(|result| *result == results[0]),
        "{results:?}"
    );
    let stats: Vec<_> = fleets.iter().map(Fleet::stats).collect();
    assert_eq!(stats.iter().map(|stats| stats.led).sum::<u64>(), 1);
    assert_eq!(stats.iter().map(|stats| stats.followed).sum::<u64>(), 7);
    until("the result is kept for a moment", || store.is_empty()).await;
    assert!(fleets.iter().all(|fleet| hub(fleet).is_idle()));
}

/// A body that must not be run.
async fn never<T>() -> T {
    unreachable!("another process runs it")
}

fn hub(fleet: &Fleet) -> &Hub {
    &fleet.0.as_ref().expect("not local").hub
}

#[tokio::test]
async fn a_lone_call_leaves_nothing_behind() {
    let (store, [fleet]) = fleets();
    for n in 0..100 {
        assert_eq!(fleet.share("f", &n, async { n }).await, n);
        assert!(store.is_empty());
    }
    assert!(hub(&fleet).is_idle());
    assert_eq!(fleet.stats().led, 100);
}

#[tokio::test]
async fn an_err_stays_in_its_process_and_all_others_run_at_once() {
    let (_store, fleets) = fleets::<4>();
    let gates = [const { Gate(AtomicU32::new(0), AtomicBool::new(false)) }; 4];
    let calls = fleets
        .iter()
        .zip(&gates)
        .enumerate()
        .map(|(n, (fleet, gate))| async move {
            let result = if n == 0 {
                Err(std::io::Error::other("no"))
            } else {
                Ok(n)
            };
            fleet.try_share("f", "key", gate.body(result)).await
        });
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    for call in &mut calls {
        assert!(poll_once(call.as_mut()).is_pending());
    }
    assert_eq!(gates.each_ref().map(Gate::begun), [1, 0, 0, 0]);
    gates[0].open();
    assert!(calls[0].as_mut().await.is_err());
    for call in &mut calls[1..] {
        assert!(poll_once(call.as_mut()).is_pending());
    }
    assert_eq!(
        gates.each_ref().map(Gate::begun),
        [1; 4],
        "none waits for another"
    );
    for (n, mut call) in calls.into_iter().enumerate().skip(1) {
        gates[n].open();
        assert_eq!(call.as_mut().await.expect("its own"), n);
    }
}

#[tokio::test]
async fn a_panic_stays_in_its_process_and_the_others_run_at_once() {
    let (_store, [a, b]) = fleets();
    let gate = Arc::new(Gate::default());
    let body = {
        let gate = gate.clone();
        async move {
            gate.body(()).await;
            panic!("on purpose");
            #[allow(unreachable_code)]
            ()
        }
    };
    let first = {
        let a = a.clone();
        tokio::spawn(async move { a.share("f", &1, body).await })
    };
    until("it leads", || gate.begun() == 1).await;
    let mut second = Box::pin(b.share("f", &1, async {}));
    assert!(poll_once(second.as_mut()).is_pending());
    gate.open();
    assert!(first.await.is_err_and(|error| error.is_panic()));
    second.await;
    assert_eq!(b.stats().no_value, 1);
    assert!(hub(&a).is_idle());
}

#[tokio::test]
async fn a_dropped_leader_is_taken_over_by_exactly_one() {
    let (_store, [a, b, c]) = fleets();
    let gates = [const { Gate(AtomicU32::new(0), AtomicBool::new(false)) }; 3];
    let mut first = Box::pin(a.share("f", &1, gates[0].body(0)));
    let mut second = Box::pin(b.share("f", &1, gates[1].body(1)));
    let mut third = Box::pin(c.share("f", &1, gates[2].body(2)));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    assert!(poll_once(third.as_mut()).is_pending());
    drop(first);
    assert!(poll_once(third.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    assert_eq!(gates.each_ref().map(Gate::begun), [1, 0, 1]);
    gates[2].open();
    assert_eq!(third.await, 2);
    assert_eq!(second.await, 2);
    assert_eq!((c.stats().taken_over, b.stats().followed), (1, 1));
}

#[tokio::test]
async fn without_a_store_calls_run_at_no_delay_and_share_again_when_it_is_back() {
    let (store, [a, b]) = fleets();
    let gate = Gate::default();
    store.set_silent(true);
    {
        let mut calls = [&a, &b].map(|fleet| Box::pin(fleet.share("f", &1, gate.body(()))));
        for call in &mut calls {
            assert!(poll_once(call.as_mut()).is_pending());
        }
        assert_eq!(gate.begun(), 2, "in their first poll");
    }
    assert_eq!((a.stats().away, a.is_up()), (1, false));
    store.set_silent(false);
    let mut calls = [&a, &b].map(|fleet| Box::pin(fleet.share("f", &1, gate.body(()))));
    for call in &mut calls {
        assert!(poll_once(call.as_mut()).is_pending());
    }
    assert_eq!(gate.begun(), 3);
}

#[tokio::test]
async fn a_store_that_goes_away_fails_no_call() {
    let (store, [a, b]) = fleets();
    let gate = Gate::default();
    let mut calls = [&a, &b].map(|fleet| Box::pin(fleet.share("f", &1, gate.body(7))));
    for call in &mut calls {
        assert!(poll_once(call.as_mut()).is_pending());
    }
    store.set_silent(true);
    gate.open();
    for call in calls {
        assert_eq!(
            call.await,
            7,
            "the leader at once, the follower after some looks"
        );
    }
    assert_eq!((gate.begun(), b.stats().away), (2, 1));
    store.set_silent(false);
    assert!(store.is_empty(), "what was left is given up");
}

#[tokio::test]
async fn what_is_too_large_is_not_shared_and_fails_no_call() {
    let (store, [a, b]) = fleets();
    let [a, b] = [a, b].map(|fleet| fleet.with_max_value(100));
    let gate = Gate::default();
    let mut first = Box::pin(a.share("f", &1, gate.body("x".repeat(101))));
    let mut second = Box::pin(b.share("f", &1, async { "own".to_owned() }));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    gate.open();
    assert_eq!(first.await.len(), 101);
    assert_eq!(second.await, "own");
    assert_eq!((a.stats().unshareable, b.stats().no_value), (1, 1));

    let long = "k".repeat(2000);
    assert_eq!(a.share("f", &long, async { 1 }).await, 1);
    assert_eq!(
        (a.stats().unshareable, a.stats().led),
        (2, 1),
        "such a key stays here"
    );
    until("the mark is kept for a moment", || store.is_empty()).await;
}

#[tokio::test]
async fn other_names_functions_builds_and_keys_share_nothing() {
    let (_store, [a, b]) = fleets();
    let other = Fleet::new("other", Memory::new()).with_build("1");
    let (gate, c) = (Gate::default(), b.with_build("2"));
    let mut calls = [
        Box::pin(a.share("f", &1, gate.body(()))),
        Box::pin(b.share("g", &1, gate.body(()))),
        Box::pin(b.share("f", &2, gate.body(()))),
        Box::pin(c.share("f", &1, gate.body(()))),
        Box::pin(other.share("f", &1, gate.body(()))),
        Box::pin(Fleet::local().share("f", &1, gate.body(()))),
    ];
    for call in &mut calls {
        assert!(poll_once(call.as_mut()).is_pending());
    }
    assert_eq!(gate.begun(), 6);
}

#[tokio::test]
async fn nobody_waits_for_longer_than_its_patience() {
    let (_store, [a, b]) = fleets();
    let b = b.with_patience(Duration::from_millis(50));
    let mut hangs = Box::pin(a.share("f", &1, pending::<u8>()));
    assert!(poll_once(hangs.as_mut()).is_pending());
    let begin = Instant::now();
    assert_eq!(b.share("f", &1, async { 2 }).await, 2);
    assert!(begin.elapsed() >= Duration::from_millis(50));
    assert_eq!(b.stats().patience, 1);
    // By now it is too old to be joined: no second call waits.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let begin = b.stats();
    assert_eq!(b.share("f", &1, async { 3 }).await, 3);
    assert_eq!(b.stats().led, begin.led + 1);
}

#[tokio::test]
async fn settings_without_an_end_are_allowed() {
    let (_store, [a, b]) = fleets();
    let [a, b] = [a, b].map(|fleet| {
        fleet
            .with_lease(Duration::MAX)
            .with_patience(Duration::MAX)
            .with_slow(Duration::MAX)
            .with_keep(Duration::MAX)
            .with_max_value(usize::MAX)
    });
    let gate = Gate::default();
    let mut first = Box::pin(a.share("f", &1, gate.body(1)));
    let mut second = Box::pin(b.share("f", &1, never()));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    assert_eq!(b.forget("f", &1).await, Ok(()));
    gate.open();
    assert_eq!((first.await, second.await), (1, 1));
}

#[tokio::test]
async fn an_execution_that_is_too_old_is_not_joined() {
    let (_store, [a, b]) = fleets();
    let gate = Gate::default();
    let mut old = Box::pin(a.share("f", &1, gate.body(1)));
    assert!(poll_once(old.as_mut()).is_pending());
    tokio::time::sleep(Duration::from_millis(30)).await;
    let young = b.with_max_age(Duration::from_millis(20));
    let mut new = Box::pin(young.share("f", &1, gate.body(2)));
    assert!(poll_once(new.as_mut()).is_pending());
    let mut later = Box::pin(a.share("f", &1, never()));
    assert!(poll_once(later.as_mut()).is_pending());
    assert_eq!(gate.begun(), 2);
    gate.open();
    assert_eq!(
        (old.await, new.await, later.await),
        (1, 2, 2),
        "later calls join the new one"
    );
}

#[tokio::test]
async fn a_leader_that_is_not_polled_loses_its_lease_and_publishes_nothing() {
    let (_store, [a, b]) = fleets();
    let [a, b] = [a, b].map(|fleet| fleet.with_lease(Duration::from_millis(60)));
    let gate = Gate::default();
    let mut parked = Box::pin(a.share("f", &1, gate.body("parked".to_owned())));
    assert!(poll_once(parked.as_mut()).is_pending());
    let own = async { "taken over".to_owned() };
    assert_eq!(b.share("f", &1, own).await, "taken over");
    assert_eq!(b.stats().taken_over, 1);
    gate.open();
    // Whoever calls now does not get what the old leader is about to return.
    let mut third = Box::pin(b.share("f", &1, pending::<String>()));
    assert!(poll_once(third.as_mut()).is_pending());
    assert_eq!(parked.await, "parked");
    assert!(poll_once(third.as_mut()).is_pending());
    assert_eq!(b.stats().led, 2);
}

#[tokio::test]
async fn a_leader_that_is_polled_keeps_its_lease_for_as_long_as_it_runs() {
    let (_store, [a, b]) = fleets();
    let [a, b] = [a, b].map(|fleet| fleet.with_lease(Duration::from_secs(2)));
    let body = async {
        // Nothing but the renewal wakes it.
        let begin = Instant::now();
        poll_fn(|_| match begin.elapsed() > Duration::from_secs(3) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        "long"
    };
    let first =
        tokio::spawn(async move { a.share("f", &1, async { body.await.to_owned() }).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let unreachable = never::<String>();
    assert_eq!(b.share("f", &1, unreachable).await, "long");
    assert_eq!(first.await.expect("no panic"), "long");
}

#[tokio::test]
async fn calls_after_a_forget_do_not_join_what_began_before_it() {
    let (_store, [a, b]) = fleets();
    let gate = Gate::default();
    let mut first = Box::pin(a.share("f", &1, gate.body(1)));
    let mut second = Box::pin(b.share("f", &1, gate.body(2)));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    assert_eq!(b.forget("f", &1).await, Ok(()));
    let mut third = Box::pin(b.share("f", &1, gate.body(3)));
    assert!(poll_once(third.as_mut()).is_pending());
    assert_eq!(gate.begun(), 2);
    gate.open();
    assert_eq!(third.await, 3);
    assert_eq!(first.await, 1);
    assert_eq!(second.await, 1, "it had joined before");
}

#[tokio::test]
async fn after_a_forget_without_an_answer_calls_stay_local_until_nothing_older_can_be_joined() {
    let (store, [a, b]) = fleets();
    let b = b.with_patience(Duration::from_millis(200));
    let gate = Gate::default();
    let mut first = Box::pin(a.share("f", &1, gate.body(1)));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(b.is_up());
    store.set_silent(true);
    assert_eq!(b.forget("f", &1).await, Err(Unanswered));
    store.set_silent(false);
    assert_eq!(b.share("f", &1, async { 2 }).await, 2);
    assert_eq!(b.stats().followed, 0);
    until("it takes part again", || b.is_up()).await;
    assert_eq!(b.share("f", &1, async { 3 }).await, 3);
    assert_eq!((b.stats().led, b.stats().followed), (1, 0));
}

#[tokio::test]
async fn a_fleet_that_is_closed_gives_up_what_it_leads_and_finishes_it() {
    let (_store, [a, b]) = fleets();
    let (first_gate, second_gate) = (Gate::default(), Gate::default());
    let mut first = Box::pin(a.share("f", &1, first_gate.body(1)));
    let mut second = Box::pin(b.share("f", &1, second_gate.body(2)));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    a.close();
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    assert_eq!(second_gate.begun(), 1);
    first_gate.open();
    second_gate.open();
    assert_eq!((first.await, second.await), (1, 2));
    assert_eq!(a.share("f", &1, async { 3 }).await, 3);
    assert_eq!(a.stats().closed, 2);
}

/// Keeps the answers to JOINs, CLOSEs and LOOKs until they are let go.
#[derive(Clone, Default)]
struct Late(
    Arc<Mutex<Vec<Box<dyn FnOnce() + Send>>>>,
    Arc<AtomicBool>,
    Arc<AtomicU32>,
);

struct Slowly(Memory, Late);

impl Late {
    fn reply<T: Send + 'static>(&self, reply: Reply<T>) -> Reply<T> {
        let late = self.clone();
        Reply::new(move |answer| {
            if !late.1.load(SeqCst) {
                if let Ok(answer) = answer {
                    reply.answer(answer);
                }
                return;
            }
            late.0.lock().push(Box::new(move || {
                if let Ok(answer) = answer {
                    reply.answer(answer);
                }
            }));
        })
    }

    fn let_go(&self) {
        self.1.store(false, SeqCst);
        let all = std::mem::take(&mut *self.0.lock());
        all.into_iter().for_each(|answer| answer());
    }
}

impl Engine for Slowly {
    fn start(&self, wakes: Wakes) {
        self.0.start(wakes);
    }
    fn join(&self, flight: &Flight, token: Token, terms: Terms, reply: Reply<Joined>) {
        self.0.join(flight, token, terms, self.1.reply(reply));
    }
    fn look(&self, flight: &Flight, token: Token, max_bytes: usize, reply: Reply<Looked>) {
        self.0.look(flight, token, max_bytes, self.1.reply(reply));
    }
    fn renew(&self, flight: &Flight, token: Token, lease: Duration, reply: Reply<Renewed>) {
        self.0.renew(flight, token, lease, reply);
    }
    fn close(&self, flight: &Flight, token: Token, reply: Reply<Closed>) {
        self.0.close(flight, token, self.1.reply(reply));
    }
    fn land(
        &self,
        flight: &Flight,
        token: Token,
        bytes: Vec<u8>,
        keep: Duration,
        reply: Reply<()>,
    ) {
        self.0.land(flight, token, bytes, keep, reply);
    }
    fn forget(&self, flight: &Flight, reply: Reply<()>) {
        self.0.forget(flight, reply);
    }
    fn suspect(&self) {
        self.1.2.fetch_add(1, SeqCst);
    }
}

fn late() -> (Memory, Late, Fleet) {
    let store = Memory::new();
    let late = Late::default();
    let fleet = Fleet::new("test", Slowly(store.process(), late.clone())).with_build("1");
    (store, late, fleet.with_slow(Duration::from_millis(30)))
}

#[tokio::test]
async fn a_grant_that_comes_after_its_caller_has_gone_is_given_back() {
    let (store, late, fleet) = late();
    late.1.store(true, SeqCst);
    let mut call = Box::pin(fleet.share("f", &1, async { 1 }));
    assert!(poll_once(call.as_mut()).is_pending());
    drop(call);
    assert!(!store.is_empty(), "the store has granted it");
    late.let_go();
    assert!(store.is_empty());
    // The same if it ran its body instead of waiting, and has returned.
    late.1.store(true, SeqCst);
    assert_eq!(fleet.share("f", &1, async { 1 }).await, 1);
    assert!(!store.is_empty());
    late.let_go();
    assert!(store.is_empty());
    assert!(hub(&fleet).is_idle());
}

#[tokio::test]
async fn a_late_grant_makes_the_call_lead_after_all() {
    let (store, late, fleet) = late();
    let other = Fleet::new("test", store.process()).with_build("1");
    late.1.store(true, SeqCst);
    let gate = Gate::default();
    let mut first = Box::pin(fleet.share("f", &1, gate.body(1)));
    until("it runs its body", || {
        poll_once(first.as_mut()).is_pending() && gate.begun() == 1
    })
    .await;
    let mut second = Box::pin(other.share("f", &1, never()));
    assert!(poll_once(second.as_mut()).is_pending());
    late.let_go();
    gate.open();
    assert_eq!((first.await, second.await), (1, 1));
}

#[tokio::test]
async fn after_three_late_answers_no_call_waits_until_the_engine_says_so() {
    let (_store, late, fleet) = late();
    late.1.store(true, SeqCst);
    for _ in 0..2 {
        assert_eq!(fleet.share("f", &1, async { 1 }).await, 1);
    }
    assert!(fleet.is_up());
    assert_eq!(fleet.share("f", &1, async { 1 }).await, 1);
    assert_eq!((fleet.is_up(), late.2.load(SeqCst)), (false, 1));
    let mut call = Box::pin(fleet.share("f", &1, async { 1 }));
    assert!(poll_once(call.as_mut()).is_ready(), "it does not ask");
    assert_eq!(fleet.stats().away, 4);
}

#[tokio::test]
async fn a_result_that_was_on_its_way_for_too_long_is_not_used() {
    let (store, late, fleet) = late();
    let fleet = fleet
        .with_keep(Duration::from_millis(20))
        .with_slow(Duration::from_secs(20));
    let other = Fleet::new("test", store.process()).with_build("1");
    let gate = Gate::default();
    let mut first = Box::pin(other.share("f", &1, gate.body("old".to_owned())));
    let mut second = Box::pin(fleet.share("f", &1, async { "new".to_owned() }));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    late.1.store(true, SeqCst);
    gate.open();
    assert_eq!(first.await, "old");
    assert!(poll_once(second.as_mut()).is_pending());
    std::thread::sleep(Duration::from_millis(40));
    late.let_go();
    assert_eq!(second.await, "new");
    assert_eq!(fleet.stats().followed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_dropped_in_any_state_leave_nothing_behind() {
    let (store, fleets) = fleets::<3>();
    let rounds = 300;
    let mut tasks = Vec::new();
    for (n, fleet) in fleets.iter().cloned().enumerate() {
        tasks.push(tokio::spawn(async move {
            for round in 0..rounds {
                let body = async move {
                    for _ in 0..(round * 7 + n) % 5 {
                        tokio::task::yield_now().await;
                    }
                    round
                };
                let mut call = pin!(fleet.share("f", &(round % 3), body));
                let mut polls = (round * 13 + n * 5) % 7;
                let dropped = poll_fn(|cx| match polls.checked_sub(1) {
                    Some(fewer) => {
                        polls = fewer;
                        // Again at once, whether or not anything has happened.
                        cx.waker().wake_by_ref();
                        call.as_mut().poll(cx).map(Some)
                    }
                    None => Poll::Ready(None),
                });
                let _ = dropped.await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    until("nothing is left", || store.is_empty()).await;
    assert!(fleets.iter().all(|fleet| hub(fleet).is_idle()));
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_is_left_where_it_is() {
    let (_store, [a, b]) = fleets();
    let begin = tokio::time::Instant::now();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let leader = tokio::spawn(async move {
        a.share("f", &1, async { receiver.await.expect("it is sent") })
            .await
    });
    tokio::task::yield_now().await;
    let follower = tokio::spawn(async move { b.share("f", &1, async { 2 }).await });
    tokio::task::yield_now().await;
    sender.send(1).expect("it waits");
    assert_eq!(
        (
            leader.await.expect("no panic"),
            follower.await.expect("no panic")
        ),
        (1, 1)
    );
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[test]
fn it_works_without_a_runtime() {
    let (_store, [fleet]) = fleets();
    let call = fleet.share("f", &1, async { 5 });
    let mut call = pin!(call);
    assert_eq!(poll_once(call.as_mut()), Poll::Ready(5));
}
