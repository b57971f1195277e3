//! (signatures only, for now)
#![allow(missing_debug_implementations, unused_variables)]
pub(crate) mod results;

use crate::{Scope, key::Key, path::Path};
use std::{hash::Hash, marker::PhantomData, task::Waker};

/// The static beside an annotated function.
pub struct Batches(Path);

/// What a caller hands in.
pub struct Item<T, U = ()> {
    item: T,
    weight: u64,
    unique: Option<U>,
}
impl<T> Item<T> {
    /// new
    pub fn new(item: T) -> Self {
        Self {
            item,
            weight: 0,
            unique: None,
        }
    }
}
impl<T, U> Item<T, U> {
    /// `weight`
    pub fn weight(mut self, weight: u64) -> Self {
        self.weight = weight;
        self
    }
    /// `unique`: an owned value
    pub fn unique<V: Hash + Eq + Send + 'static>(self, unique: V) -> Item<T, V> {
        Item {
            item: self.item,
            weight: self.weight,
            unique: Some(unique),
        }
    }
}

/// The limits of one batch, read when it opens.
pub struct Limits {
    size: usize,
    delay_ms: u64,
    max_weight: Option<u64>,
    concurrency: Option<usize>,
    eager: bool,
}
impl Limits {
    /// new
    pub fn new(size: usize, delay_ms: u64) -> Self {
        Self {
            size,
            delay_ms,
            max_weight: None,
            concurrency: None,
            eager: false,
        }
    }
    /// `max_weight`
    pub fn max_weight(mut self, n: u64) -> Self {
        self.max_weight = Some(n);
        self
    }
    /// `concurrency`
    pub fn concurrency(mut self, n: usize) -> Self {
        self.concurrency = Some(n);
        self
    }
    /// `eager`
    pub fn eager(mut self) -> Self {
        self.eager = true;
        self
    }
}

/// Each item's own result, in the order of the items.
pub type Results<R> = Result<Vec<R>, WrongNumber>;
/// A bulk call gave another number of results than it got items.
#[derive(Debug)]
pub struct WrongNumber {
    pub items: usize,
    pub results: usize,
}

/// A place in a batch.
pub struct Seat<R>(PhantomData<R>);

impl Batches {
    /// One a function.
    pub const fn new(path: Path) -> Self {
        Self(path)
    }
    /// Takes a seat in the batch that is open for `key`, or opens one: then `limits` and `open` are called, once, outside of any lock.
    /// `open` makes the bulk call: owned arguments in, results out.
    pub fn join<M, K, T, U, L, O, B, F, R>(
        &'static self,
        waker: Waker,
        marker: M,
        key: K,
        item: Item<T, U>,
        limits: L,
        open: O,
    ) -> Seat<R>
    where
        M: Fn() + 'static,
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        L: FnOnce() -> Limits,
        O: FnOnce() -> B,
        B: FnOnce(Vec<T>) -> F + Send + 'static,
        F: Future<Output = Results<R>> + Send + 'static,
        R: Send + 'static,
    {
        todo!()
    }
    /// The same in a scope.
    pub fn join_in<M, K, T, U, L, O, B, F, R>(
        &'static self,
        scope: &Scope,
        waker: Waker,
        marker: M,
        key: K,
        item: Item<T, U>,
        limits: L,
        open: O,
    ) -> Seat<R>
    where
        M: Fn() + 'static,
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        L: FnOnce() -> Limits,
        O: FnOnce() -> B,
        B: FnOnce(Vec<T>) -> F + Send + 'static,
        F: Future<Output = Results<R>> + Send + 'static,
        R: Send + 'static,
    {
        todo!()
    }
}
impl<R> Seat<R> {
    /// Waits for the result.
    pub async fn result(self) -> R {
        todo!()
    }
}
