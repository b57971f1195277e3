//! Lower bounds of the cost of a batch: a caller that is suspended once; the same with its item in a
//! vector and its result from one.

use super::{Batcher, Body, Setup};
use std::{
    future::{Future, poll_fn},
    sync::{Arc, Mutex, OnceLock},
    task::{Poll, Waker},
};

pub(crate) struct Yield;

impl Batcher for Yield {
    const DETACHED: bool = false;

    fn new(setup: Setup) -> Result<Self, &'static str> {
        if setup.body == Body::PlusOne && !setup.eager {
            Ok(Self)
        } else {
            Err("says nothing about this workload")
        }
    }

    async fn call(&self, item: u64) -> u64 {
        tokio::task::yield_now().await;
        item + 1
    }
}

/// Whoever fills the vector maps it, on the spot. No timer, no task, no way to leave.
pub(crate) struct SharedVector {
    size: usize,
    open: Mutex<Open>,
}

struct Open {
    items: Vec<u64>,
    wakers: Vec<Waker>,
    results: Arc<OnceLock<Vec<u64>>>,
}

impl Open {
    fn new(size: usize) -> Self {
        Self {
            items: Vec::with_capacity(size),
            wakers: Vec::with_capacity(size),
            results: Arc::default(),
        }
    }

    fn finish(mut self) {
        self.items.iter_mut().for_each(|item| *item += 1);
        let _ = self.results.set(self.items);
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

impl SharedVector {
    fn push(&self, item: u64, waker: &Waker) -> (Arc<OnceLock<Vec<u64>>>, usize) {
        let mut open = self.open.lock().unwrap();
        let place = (open.results.clone(), open.items.len());
        open.items.push(item);
        if open.items.len() < self.size {
            open.wakers.push(waker.clone());
        } else {
            let full = std::mem::replace(&mut *open, Open::new(self.size));
            drop(open);
            full.finish();
        }
        place
    }
}

impl Batcher for SharedVector {
    const DETACHED: bool = false;

    fn new(setup: Setup) -> Result<Self, &'static str> {
        Yield::new(setup)?;
        Ok(Self {
            size: setup.size,
            open: Mutex::new(Open::new(setup.size)),
        })
    }

    fn call(&self, item: u64) -> impl Future<Output = u64> + Send {
        let mut place = None;
        poll_fn(move |cx| {
            let (results, index) = place.get_or_insert_with(|| self.push(item, cx.waker()));
            match results.get() {
                Some(results) => Poll::Ready(results[*index]),
                None => Poll::Pending,
            }
        })
    }

    fn nudge(&self) {
        let mut open = self.open.lock().unwrap();
        let partial = std::mem::replace(&mut *open, Open::new(self.size));
        drop(open);
        partial.finish();
    }
}
