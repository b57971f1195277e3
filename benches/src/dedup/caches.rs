//! Caches that compute a missing value once, used to share and not to keep: the value is removed as
//! soon as its leader has it. Large enough that they never evict.

use super::{Calls, Dedup, GATE, executed};
use cached::{Cached as _, macros::cached};
use std::future::Future;

const CAPACITY: usize = 1 << 20;

pub(crate) struct Moka {
    numbers: moka::future::Cache<u64, u64>,
    strings: moka::future::Cache<String, u64>,
}

impl Moka {
    pub(crate) fn new() -> Self {
        Self {
            numbers: moka::future::Cache::new(CAPACITY as u64),
            strings: moka::future::Cache::new(CAPACITY as u64),
        }
    }
}

impl Dedup for Moka {
    async fn get<F>(&self, key: u64, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let mut leads = false;
        let body = async {
            leads = true;
            body().await
        };
        let answer = self.numbers.get_with(key, body).await;
        if leads {
            self.numbers.invalidate(&key).await;
        }
        answer
    }

    async fn get_str<F>(&self, key: &str, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let mut leads = false;
        let body = async {
            leads = true;
            body().await
        };
        let answer = self.strings.get_with_by_ref(key, body).await;
        if leads {
            self.strings.invalidate(key).await;
        }
        answer
    }
}

pub(crate) struct QuickCache {
    numbers: quick_cache::sync::Cache<u64, u64>,
    strings: quick_cache::sync::Cache<String, u64>,
}

impl QuickCache {
    pub(crate) fn new() -> Self {
        Self {
            numbers: quick_cache::sync::Cache::new(CAPACITY),
            strings: quick_cache::sync::Cache::new(CAPACITY),
        }
    }
}

impl Dedup for QuickCache {
    async fn get<F>(&self, key: u64, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        match self.numbers.get_value_or_guard_async(&key).await {
            Ok(answer) => answer,
            Err(guard) => {
                let answer = body().await;
                let _ = guard.insert(answer);
                self.numbers.remove(&key);
                answer
            }
        }
    }

    async fn get_str<F>(&self, key: &str, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        match self.strings.get_value_or_guard_async(key).await {
            Ok(answer) => answer,
            Err(guard) => {
                let answer = body().await;
                let _ = guard.insert(answer);
                self.strings.remove(key);
                answer
            }
        }
    }
}

/// `#[cached]`, an attribute like ours. It holds a lock of the key's bucket while the body runs, so
/// there are many buckets here, lest keys wait for each other.
pub(crate) struct Cached;

#[cached(name = "READY", sync_writes = "by_key", sync_writes_buckets = 4096)]
async fn ready(key: u64) -> u64 {
    executed();
    key
}

#[cached(
    name = "READY_STR",
    sync_writes = "by_key",
    sync_writes_buckets = 4096,
    key = "String",
    convert = { key.to_owned() }
)]
async fn ready_str(key: &str) -> u64 {
    executed();
    key.len() as u64
}

#[cached(name = "GATED", sync_writes = "by_key", sync_writes_buckets = 4096)]
async fn gated(key: u64) -> u64 {
    GATE.notified().await;
    executed();
    key
}

#[cached(name = "YIELDING", sync_writes = "by_key", sync_writes_buckets = 4096)]
async fn yielding(key: u64) -> u64 {
    tokio::task::yield_now().await;
    executed();
    key
}

const THROUGH_THE_CACHE: &str = "hands its value over through the cache: removed when it is there, \
     it makes all waiting callers run again, one after another";

impl Calls for Cached {
    const CANNOT: &'static [(&'static str, &'static str)] =
        &[("D2", THROUGH_THE_CACHE), ("Dc", THROUGH_THE_CACHE)];

    async fn ready(&self, key: u64) -> u64 {
        let answer = ready(key).await;
        let _ = READY.write().await.cache_remove(&key);
        answer
    }

    async fn ready_str(&self, key: &str) -> u64 {
        let answer = ready_str(key).await;
        let _ = READY_STR.write().await.cache_remove(key);
        answer
    }

    async fn gated(&self, key: u64) -> u64 {
        let answer = gated(key).await;
        let _ = GATED.write().await.cache_remove(&key);
        answer
    }

    async fn yielding(&self, key: u64) -> u64 {
        let answer = yielding(key).await;
        let _ = YIELDING.write().await.cache_remove(&key);
        answer
    }
}
