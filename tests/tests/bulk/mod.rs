//! The record that bulk calls leave for tests.

#![allow(dead_code)]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

/// The items of every bulk call, in the order in which the calls began.
#[derive(Clone, Debug)]
pub struct Log<T = u64>(Arc<Mutex<Vec<Vec<T>>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Log<T> {
    pub fn note(&self, items: &[T]) {
        self.0.lock().unwrap().push(items.to_vec());
    }

    pub fn calls(&self) -> Vec<Vec<T>> {
        self.0.lock().unwrap().clone()
    }

    pub fn sizes(&self) -> Vec<usize> {
        self.0.lock().unwrap().iter().map(Vec::len).collect()
    }
}

/// Polls once, for calls that are to begin and not to be waited for.
pub async fn poll_once<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// A call that has begun.
pub async fn begun<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!(poll_once(&mut future).await.is_pending());
    future
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub async fn sleep_ms(n: u64) {
    tokio::time::sleep(ms(n)).await;
}

/// Milliseconds since then, by tokio's clock.
pub fn since(start: Instant) -> u128 {
    start.elapsed().as_millis()
}

/// The message of a future's panic.
pub async fn panic_of<F>(future: F) -> String
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let error = tokio::spawn(future).await.err().expect("it panics");
    let payload = error.into_panic();
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| {
            payload
                .downcast_ref::<&str>()
                .map(|said| (*said).to_owned())
        })
        .expect("a message")
}

/// Waits in real time, a generous while, until something is so.
pub fn eventually(what: &str, so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
