//! (signatures only, for now)
#![allow(missing_debug_implementations, unused_variables)]
use crate::{Scope, key::Key, path::Path};
use std::{marker::PhantomData, sync::Arc};

/// The static beside an annotated function.
pub struct Flights(Path);

/// Which flights a call joins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Joining { max_age_ms: Option<u64>, max_followers: Option<usize> }
impl Joining {
    /// Any.
    pub const fn new() -> Self { Self { max_age_ms: None, max_followers: None } }
    /// Only younger ones.
    pub const fn max_age_ms(mut self, ms: u64) -> Self { self.max_age_ms = Some(ms); self }
    /// Only with fewer followers.
    pub const fn max_followers(mut self, n: usize) -> Self { self.max_followers = Some(n); self }
}

/// How a result is shared.
pub trait Share { type Output; type Stored: Send + Sync + 'static; }
/// `Result`, by any name.
pub trait IsResult { type Ok; type Err; }
impl<T, E> IsResult for Result<T, E> { type Ok = T; type Err = E; }
/// By `Clone`.
pub struct Cloned<R>(PhantomData<fn() -> R>);
impl<R> Cloned<R> { /// new
    pub fn new() -> Self { Self(PhantomData) } }
impl<R: Clone + Send + Sync + 'static> Share for Cloned<R> { type Output = R; type Stored = R; }
/// `share_err`
pub struct ShareErr<R, F>(F, PhantomData<fn() -> R>);
impl<R: IsResult, F: Fn(Arc<R::Err>) -> R::Err> ShareErr<R, F> { /// new
    pub fn new(f: F) -> Self { Self(f, PhantomData) } }
impl<R: IsResult<Ok: Clone + Send + Sync + 'static, Err: Send + Sync + 'static>, F: Fn(Arc<R::Err>) -> R::Err> Share for ShareErr<R, F> { type Output = R; type Stored = Result<R::Ok, Arc<R::Err>>; }
/// `clone_with`
pub struct CloneWith<R, F>(F, PhantomData<fn() -> R>);
impl<R, F: Fn(&R) -> R> CloneWith<R, F> { /// new
    pub fn new(f: F) -> Self { Self(f, PhantomData) } }
impl<R: Send + 'static, F: Fn(&R) -> R> Share for CloneWith<R, F> { type Output = R; type Stored = std::sync::Mutex<R>; }

/// A call that has begun.
pub struct Call<S: Share>(PhantomData<S>);

impl Flights {
    /// One a function.
    pub const fn new(path: Path) -> Self { Self(path) }
    /// Begins a call in the global scope.
    pub fn enter<M: Fn() + 'static, K: Key, S: Share>(&'static self, marker: M, key: K, share: S, joining: Joining) -> Call<S> { todo!() }
    /// Begins a call in a scope.
    pub fn enter_in<M: Fn() + 'static, K: Key, S: Share>(&'static self, scope: &Scope, marker: M, key: K, share: S, joining: Joining) -> Call<S> { todo!() }
    /// `forget`: `S` only names the types
    pub fn forget<M: Fn() + 'static, K: Key>(&'static self, marker: M, key: K) { todo!() }
    /// the same in a scope
    pub fn forget_in<M: Fn() + 'static, K: Key>(&'static self, scope: &Scope, marker: M, key: K) { todo!() }
}
impl<S: Share> Call<S> {
    /// Runs or follows.
    pub async fn run<F: Future<Output = S::Output>>(self, body: F) -> S::Output { todo!() }
    /// `spawn`: `body` makes the owned execution; called once at most, by a call that starts one.
    pub async fn spawn<B: FnOnce() -> F, F: Future<Output = S::Output> + Send + 'static>(self, body: B) -> S::Output { todo!() }
}
