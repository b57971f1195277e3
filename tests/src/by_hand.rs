//! Futures polled by hand, bodies that wait until they are let go, and counts: so that a test decides what happens when.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Counts.
#[derive(Debug, Default)]
pub struct Count(AtomicUsize);

impl Count {
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// One more: the new count.
    pub fn next(&self) -> usize {
        self.0.fetch_add(1, SeqCst) + 1
    }

    pub fn get(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// Holds calls until it is opened, and none afterwards.
#[derive(Debug, Default)]
pub struct Gate(Mutex<(bool, Vec<Waker>)>);

impl Gate {
    pub const fn new() -> Self {
        Self(Mutex::new((false, Vec::new())))
    }

    pub fn open(&self) {
        let wakers = {
            let mut gate = self.0.lock().unwrap();
            gate.0 = true;
            std::mem::take(&mut gate.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    pub fn is_open(&self) -> bool {
        self.0.lock().unwrap().0
    }

    /// Opens without waking anybody.
    pub fn open_quietly(&self) {
        self.0.lock().unwrap().0 = true;
    }

    /// Like [`passed`](Self::passed), for futures that are polled by hand: it keeps no waker.
    pub async fn seen_open(&self) {
        poll_fn(|_| {
            if self.is_open() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    pub async fn passed(&self) {
        poll_fn(|cx| {
            let mut gate = self.0.lock().unwrap();
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A future that is polled when the test says so.
#[derive(Debug)]
pub struct ByHand<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
}

#[derive(Debug, Default)]
struct Woken(Count);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.next();
    }
}

impl<F: Future> ByHand<F> {
    pub fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            woken: Arc::default(),
        }
    }

    /// A call that has been polled, and waits.
    pub fn waiting(future: F) -> Self {
        let mut hand = Self::new(future);
        assert!(hand.poll().is_pending());
        hand
    }

    pub fn poll(&mut self) -> Poll<F::Output> {
        let waker = self.woken.clone().into();
        self.poll_with(&waker)
    }

    pub fn poll_with(&mut self, waker: &Waker) -> Poll<F::Output> {
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }

    /// Polls a follower that takes over, and begins its body with its next poll.
    pub fn takes_over(&mut self) -> Poll<F::Output> {
        let wakes = self.wakes();
        assert!(self.poll().is_pending());
        assert_eq!(self.wakes(), wakes + 1, "it asks to be polled again");
        self.poll()
    }

    /// The number of times that it was woken so far.
    pub fn wakes(&self) -> usize {
        self.woken.0.get()
    }
}

const HANGS: Duration = Duration::from_secs(30);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread, without a runtime. Who waits for half a minute hangs.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    let mut began = None;
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => {
                let began = began.get_or_insert_with(Instant::now);
                assert!(began.elapsed() < HANGS, "it hangs");
                thread::park_timeout(HANGS);
            }
        }
    }
}

/// Comes back after others had a turn.
pub async fn one_turn() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
