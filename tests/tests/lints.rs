//! No lint fires in generated code, whatever lints a crate denies. The user's own lints fire once.
#![deny(warnings, missing_docs, unused_qualifications, unreachable_pub)]
#![deny(
    missing_debug_implementations,
    let_underscore_drop,
    single_use_lifetimes,
    unused_lifetimes,
    unused_results
)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery)]

use piggyback::{Scope, batch, dedup};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// An error.
#[derive(Debug)]
pub enum AppError {
    /// Not found.
    NotFound,
    /// Shared.
    Shared(Arc<Self>),
}

/// A pool.
#[derive(Debug, Clone)]
pub struct Pool;

/// An argument that an option uses is used.
#[batch(
    size = most,
    delay_ms = ms,
    concurrency = calls,
    scope = scope,
    key(tenant = tenant.0),
    weight = |_| weight,
    max_weight = 10,
    unique = |id| (*id, part)
)]
#[expect(clippy::too_many_arguments)]
pub async fn scoped_batch(
    scope: &Scope,
    tenant: (u64, f64),
    most: usize,
    ms: u64,
    calls: usize,
    weight: u64,
    part: u8,
    ids: Vec<u64>,
) -> Vec<u64> {
    ids
}

/// An argument that an option uses is used.
#[dedup(spawn, scope = scope, key(tenant = tenant.0), max_age_ms = ms)]
pub async fn scoped_task(scope: &Scope, tenant: (u64, f64), ms: u64, id: u64) -> u64 {
    id
}

/// An argument that an option uses is used, whether the body mentions it or not.
#[dedup(scope = scope, key(tenant = tenant.0), max_followers = most, direct = direct_now, forget = forget_direct)]
pub async fn direct(scope: &Scope, tenant: (u64, f64), most: usize, id: u64) -> u64 {
    tokio::task::yield_now().await;
    id
}

/// A type that may borrow.
pub trait Executor<'c>: Sized {}

/// The function beside it needs a name for the lifetime.
#[dedup(skip(executor), forget = forget_behind_impl)]
pub async fn behind_impl(executor: impl Executor<'_>, id: u64) -> u64 {
    drop(executor);
    id
}

/// An argument that an option of a batch uses is used.
#[batch(size = most, eager, scope = scope, direct = direct_batch_now)]
pub async fn direct_batch(scope: &Scope, most: usize, ids: Vec<u64>) -> Vec<u64> {
    tokio::task::yield_now().await;
    ids
}

/// Finds a user.
///
/// # Errors
/// If there is none.
#[dedup(skip(pool), share_err = AppError::Shared)]
#[inline]
pub async fn user(pool: &Pool, id: u64, _hint: &str) -> Result<u64, AppError> {
    tokio::task::yield_now().await;
    let _pool = pool.clone();
    if id == 0 {
        return Err(AppError::NotFound);
    }
    Ok(id)
}

/// Saves users.
///
/// # Errors
/// Never.
#[batch(size = 10, delay_ms = 10, skip(pool), share_err = AppError::Shared)]
pub async fn save(pool: &Pool, tenant: u64, users: &[u64]) -> Result<(), AppError> {
    tokio::task::yield_now().await;
    let _pool = pool.clone();
    let _number = tenant + users.len() as u64;
    Ok(())
}

/// Loads users.
///
/// # Errors
/// Never.
#[dedup]
#[batch(size = 10, delay_ms = 10, eager, concurrency = 2)]
pub async fn load(mut ids: Vec<u64>) -> Result<HashMap<u64, u64>, Arc<AppError>> {
    tokio::task::yield_now().await;
    ids.sort_unstable();
    Ok(ids.into_iter().map(|id| (id, id)).collect())
}

/// Its arguments are mutable in the body.
#[batch(size = 10, delay_ms = 10, skip(first))]
pub async fn sum(mut first: u64, mut numbers: Vec<u64>) -> Vec<u64> {
    tokio::task::yield_now().await;
    first += 1;
    for number in &mut numbers {
        *number += first;
    }
    numbers
}

/// The same in a task of its own.
#[dedup(spawn)]
pub async fn spawned((mut first, second): (u64, u64)) -> u64 {
    tokio::task::yield_now().await;
    first += second;
    first
}

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    scope: Scope,
    tenant: String,
}

impl Service {
    /// Finds a name.
    #[dedup(scope = self.scope, direct = name_now, forget = forget_name, name = "name")]
    pub async fn name(&self, id: u64) -> String {
        tokio::task::yield_now().await;
        format!("{}{id}", self.tenant)
    }

    /// Saves names.
    #[batch(size = 10, delay_ms = 10, key(self = self.tenant), unique = String::as_str, weight = String::len, max_weight = 100, direct = save_names)]
    pub async fn save_name(&self, names: Vec<String>) -> Vec<String> {
        tokio::task::yield_now().await;
        names.into_iter().map(|name| name + &self.tenant).collect()
    }

    /// Counts.
    #[batch(
        size = 10,
        delay_ms = 10,
        skip(self),
        items(ids, names),
        by_ref,
        shared
    )]
    pub async fn count(self: Arc<Self>, ids: &[u64], names: Vec<String>) -> usize {
        tokio::task::yield_now().await;
        ids.len() + names.len() + self.tenant.len()
    }
}

/// Returns a future.
#[dedup]
pub fn returned(id: u64) -> impl Future<Output = u64> + Send {
    let next = id + 1;
    async move {
        tokio::task::yield_now().await;
        next - 1
    }
}

/// Returns a boxed future.
#[dedup]
#[must_use]
pub fn boxed(id: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        tokio::task::yield_now().await;
        id
    })
}

/// The user's own lints are expected where they are, and fulfil the expectation.
#[dedup]
pub async fn expected(id: u64) -> u64 {
    tokio::task::yield_now().await;
    #[expect(unused_variables)]
    let unused = 1;
    id
}

/// The same for a batch.
#[batch(size = 1, delay_ms = 1)]
pub async fn expected_batch(ids: Vec<u64>) -> Vec<u64> {
    tokio::task::yield_now().await;
    #[expect(unused_variables)]
    let unused = 1;
    ids.iter().map(|id| id ^ 1).collect()
}

#[tokio::test(start_paused = true)]
async fn code_without_lints_also_works() {
    let service = Service {
        scope: Scope::new(),
        tenant: "t".into(),
    };
    assert!(user(&Pool, 1, "").await.is_ok());
    assert!(user(&Pool, 0, "").await.is_err());
    save(&Pool, 1, 2).await.unwrap();
    assert_eq!(sum(1, 2).await + spawned((3, 4)).await, 11);
    assert_eq!(load(1).await.unwrap(), Some(1));
    service.forget_name(1);
    assert_eq!(service.name(1).await, service.name_now(1).await);
    assert_eq!(service.save_name("n".into()).await, "nt");
    assert_eq!(service.save_names(vec!["n".into()]).await, ["nt"]);
    assert_eq!(Arc::new(service).count(&1, "n").await, 3);
    assert_eq!(returned(1).await + boxed(1).await + expected(1).await, 3);
    assert_eq!(expected_batch(1).await, 0);
}
