//! The watch, which finds executions that stand still: no clock confuses it, and no waker or value holds it up.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use piggyback::{Scope, batch, dedup};
use piggyback_tests::by_hand::{ByHand, Count, block_on};
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;
use tokio::time::{self, advance, sleep};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn real() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}

fn paused() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// Takes this long by the real clock, whatever tokio's clock does.
async fn takes(time: Duration) {
    let (done, waits) = oneshot::channel();
    thread::spawn(move || {
        thread::sleep(time);
        done.send(())
    });
    waits.await.unwrap();
}

/// Waits until it holds. Panics after ten seconds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        thread::sleep(ms(2));
    }
}

#[test]
fn waiting_for_a_flight_neither_moves_a_paused_clock_nor_spins() {
    #[dedup]
    async fn user(id: u64) -> u64 {
        takes(ms(600)).await;
        id
    }

    paused().block_on(async {
        let began = time::Instant::now();
        let mut polls = 0;
        let mut calls = pin!(async { tokio::join!(user(1), user(1), user(1)) });
        poll_fn(|cx| {
            polls += 1;
            calls.as_mut().poll(cx)
        })
        .await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(polls < 40, "polled {polls} times");
    });
}

#[test]
fn a_paused_clock_on_another_runtime_deposes_no_leader() {
    static RUNS: Count = Count::new();
    #[dedup]
    async fn user(id: u64, real: bool) -> u64 {
        if real {
            RUNS.next();
            sleep(ms(600)).await;
        } else {
            takes(ms(900)).await;
        }
        id
    }

    // A machine so busy that the leader's thread does not run for 0.2 s deposes it rightly, but not time after time.
    for id in 0..5 {
        let before = RUNS.get();
        let elsewhere = thread::spawn(move || {
            paused().block_on(async { tokio::join!(user(id, false), user(id, false)) })
        });
        let callers: Vec<_> = (0..4)
            .map(|_| thread::spawn(move || real().block_on(user(id, true))))
            .collect();
        for caller in callers {
            assert_eq!(caller.join().unwrap(), id);
        }
        assert_eq!(elsewhere.join().unwrap(), (id, id));
        if RUNS.get() == before + 1 {
            return;
        }
    }
    panic!("the body ran {} times in 5 flights", RUNS.get());
}

/// Paused tests come one after another, some fail, and calls are on real clocks beside them.
#[test]
fn a_stalled_leader_is_found_on_any_clock() {
    #[dedup]
    async fn user(id: u64) -> u64 {
        pending::<()>().await;
        id
    }

    for id in 0..6 {
        let runtime = if id % 2 == 0 { paused() } else { real() };
        let mut calls = Vec::new();
        runtime.block_on(async {
            if id % 2 == 0 {
                advance(Duration::from_secs(3600)).await;
            }
            calls.extend([(); 2].map(|()| ByHand::waiting(user(id))));
        });
        if id % 3 == 0 {
            drop(runtime);
        }
        until("the follower is woken", || calls[1].wakes() > 0);
    }
}

#[test]
fn a_batch_on_a_paused_clock_that_is_hours_ahead_is_rescued_in_real_time() {
    #[batch(size = 10, delay_ms = 20)]
    async fn save(rows: Vec<u64>) -> Vec<u64> {
        rows
    }

    let undriven = paused();
    let mut opener = undriven.block_on(async {
        advance(Duration::from_secs(7200)).await;
        ByHand::waiting(save(1))
    });
    // It joins that batch, which its own clock thinks to be due in two hours.
    let served = real().block_on(async { time::timeout(Duration::from_secs(10), save(2)).await });
    assert_eq!(served, Ok(2));
    assert_eq!(opener.poll(), Poll::Ready(1));
}

#[test]
fn a_waker_that_blocks_delays_no_other_function() {
    #[dedup]
    async fn blocks(id: u64) -> u64 {
        pending::<()>().await;
        id
    }
    #[dedup]
    async fn user(id: u64) -> u64 {
        pending::<()>().await;
        id
    }
    #[batch(size = 10, delay_ms = 10)]
    async fn save(rows: Vec<u64>) -> Vec<u64> {
        rows
    }

    struct Blocks(Mutex<mpsc::Receiver<()>>, AtomicBool);
    impl Wake for Blocks {
        fn wake(self: Arc<Self>) {
            self.1.store(true, SeqCst);
            let _ = self.0.lock().unwrap().recv();
        }
    }

    let (unblock, blocked) = mpsc::channel();
    let waker = Arc::new(Blocks(Mutex::new(blocked), AtomicBool::new(false)));
    let mut leader = ByHand::new(blocks(1));
    assert!(leader.poll_with(&waker.clone().into()).is_pending());
    let _follower = ByHand::waiting(blocks(1));
    until("the leader is woken", || waker.1.load(SeqCst));

    let calls = [(); 2].map(|()| ByHand::waiting(user(1)));
    until("its follower is woken", || calls[1].wakes() > 0);
    let undriven = real();
    let _opener = undriven.block_on(async { ByHand::waiting(save(1)) });
    let served = real().block_on(async { time::timeout(Duration::from_secs(10), save(2)).await });
    assert_eq!(served, Ok(2));
    drop(unblock);
}

/// A leader's waker polls all calls where it is woken, so that the last reference to a value is dropped by the watch's
/// helper.
#[test]
fn a_value_that_panics_as_it_is_dropped_does_not_end_the_watch() {
    static READY: AtomicBool = AtomicBool::new(false);
    static DROPPED: AtomicBool = AtomicBool::new(false);
    type Call = Pin<Box<dyn Future<Output = ()> + Send>>;
    static CALLS: OnceLock<Mutex<Vec<Call>>> = OnceLock::new();

    #[derive(Clone)]
    struct Value(#[allow(dead_code)] Arc<Inner>);
    struct Inner;
    impl Drop for Inner {
        fn drop(&mut self) {
            DROPPED.store(true, SeqCst);
            panic!("on purpose");
        }
    }
    #[dedup]
    async fn connect(id: u64) -> Value {
        let _ = id;
        poll_fn(|_| {
            if READY.load(SeqCst) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        Value(Arc::new(Inner))
    }
    #[dedup]
    async fn user(id: u64) -> u64 {
        pending::<()>().await;
        id
    }
    struct Inline;
    impl Wake for Inline {
        fn wake(self: Arc<Self>) {
            READY.store(true, SeqCst);
            let mut calls = CALLS.get().unwrap().lock().unwrap();
            for mut call in calls.drain(..) {
                let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
        }
    }

    let calls = CALLS.get_or_init(Mutex::default);
    let mut both = [(); 2].map(|()| Box::pin(async { drop(connect(1).await) }));
    let leader: Waker = Arc::new(Inline).into();
    for (call, waker) in both.iter_mut().zip([&leader, Waker::noop()]) {
        let mut cx = Context::from_waker(waker);
        assert!(call.as_mut().poll(&mut cx).is_pending());
    }
    calls.lock().unwrap().extend(both.map(|call| call as Call));
    until("the value is dropped", || DROPPED.load(SeqCst));

    for id in 0..2 {
        let calls = [(); 2].map(|()| ByHand::waiting(user(id)));
        until("its follower is woken", || calls[1].wakes() > 0);
    }
}

#[test]
fn followers_that_are_never_dropped_do_not_end_the_watch() {
    #[dedup(scope = scope)]
    async fn user(scope: &Scope, id: u64) -> u64 {
        piggyback_tests::by_hand::one_turn().await;
        id
    }

    let scope = Scope::new();
    std::mem::forget([(); 2].map(|()| Box::pin(ByHand::waiting(user(&scope, 1)))));
    let _parked = ByHand::waiting(user(&scope, 2));
    assert_eq!(block_on(user(&scope, 2)), 2);
}
