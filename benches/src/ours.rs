//! Our own functions, as a user would write them.

use crate::{
    batch::contender::{Batcher, Body, Setup, Tenants, bulk_called},
    dedup::contender::{Calls, GATE, executed},
};
use piggyback::{batch, dedup};
use sqlx::PgPool;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Notify;

#[dedup]
async fn ready(key: u64) -> u64 {
    executed();
    key
}

#[dedup]
async fn ready_str(key: &str) -> u64 {
    executed();
    key.len() as u64
}

#[dedup(skip(gate))]
async fn gated(key: u64, gate: &Notify) -> u64 {
    gate.notified().await;
    executed();
    key
}

#[dedup]
async fn yielding(key: u64) -> u64 {
    tokio::task::yield_now().await;
    executed();
    key
}

#[batch(size = 100, delay_ms = 10)]
async fn hundred(items: Vec<u64>) -> Vec<u64> {
    bulk_called();
    items.into_iter().map(|item| item + 1).collect()
}

#[batch(size = 10, delay_ms = 10)]
async fn ten(items: Vec<u64>) -> Vec<u64> {
    bulk_called();
    items.into_iter().map(|item| item + 1).collect()
}

#[batch(size = 1, delay_ms = 10)]
async fn one(items: Vec<u64>) -> Vec<u64> {
    bulk_called();
    items.into_iter().map(|item| item + 1).collect()
}

#[batch(size = 10, delay_ms = 10)]
async fn slow(items: Vec<u64>) -> Vec<u64> {
    bulk_called();
    tokio::time::sleep(Duration::from_millis(1)).await;
    items.into_iter().map(|item| item + 1).collect()
}

#[batch(size = 100, delay_ms = 10, eager)]
async fn eager(items: Vec<u64>) -> Vec<u64> {
    bulk_called();
    items.into_iter().map(|item| item + 1).collect()
}

static SIZE: AtomicUsize = AtomicUsize::new(1);

#[batch(size = SIZE.load(Relaxed), delay_ms = 10)]
async fn any_size(items: Vec<u64>) -> Vec<u64> {
    bulk_called();
    items.into_iter().map(|item| item + 1).collect()
}

#[batch(size = 2, delay_ms = 10)]
async fn of_tenant(tenant: u64, items: Vec<u64>) -> Vec<u64> {
    bulk_called();
    std::hint::black_box(tenant);
    items.into_iter().map(|item| item + 1).collect()
}

#[batch(size = 100, delay_ms = 5, skip(pool), share_err = shared)]
pub(crate) async fn insert(pool: &PgPool, rows: Vec<(i64, String)>) -> Result<(), sqlx::Error> {
    insert_all(pool, rows).await
}

/// The bulk statement.
pub(crate) async fn insert_all(pool: &PgPool, rows: Vec<(i64, String)>) -> Result<(), sqlx::Error> {
    let (ids, names): (Vec<i64>, Vec<String>) = rows.into_iter().unzip();
    sqlx::query(
        "INSERT INTO piggyback_bench (id, name) SELECT * FROM UNNEST($1::bigint[], $2::text[])",
    )
    .bind(ids)
    .bind(names)
    .execute(pool)
    .await?;
    Ok(())
}

fn shared(error: Arc<sqlx::Error>) -> sqlx::Error {
    sqlx::Error::Protocol(error.to_string())
}

/// All functions above. For batches it tells which is called, since each knows its size itself.
pub(crate) enum Piggyback {
    Dedup,
    Hundred,
    Ten,
    One,
    Slow,
    Eager,
    AnySize,
}

impl Calls for Piggyback {
    fn ready(&self, key: u64) -> impl Future<Output = u64> + Send {
        ready(key)
    }

    fn ready_str(&self, key: &str) -> impl Future<Output = u64> + Send {
        ready_str(key)
    }

    fn gated(&self, key: u64) -> impl Future<Output = u64> + Send {
        gated(key, &GATE)
    }

    fn yielding(&self, key: u64) -> impl Future<Output = u64> + Send {
        yielding(key)
    }
}

impl Batcher for Piggyback {
    const DETACHED: bool = true;

    fn new(setup: Setup) -> Result<Self, &'static str> {
        Ok(match (setup.size, setup.body, setup.eager) {
            (10, Body::Slow, false) => Self::Slow,
            (100, Body::PlusOne, true) => Self::Eager,
            (100, Body::PlusOne, false) => Self::Hundred,
            (10, Body::PlusOne, false) => Self::Ten,
            (1, Body::PlusOne, false) => Self::One,
            (size, Body::PlusOne, false) => {
                SIZE.store(size, Relaxed);
                Self::AnySize
            }
            _ => return Err("no function has been written for this workload"),
        })
    }

    async fn call(&self, item: u64) -> u64 {
        match self {
            Self::Hundred => hundred(item).await,
            Self::Ten => ten(item).await,
            Self::One => one(item).await,
            Self::Slow => slow(item).await,
            Self::Eager => eager(item).await,
            Self::AnySize => any_size(item).await,
            Self::Dedup => unreachable!("takes no items"),
        }
    }
}

impl Tenants for Piggyback {
    fn call(&self, tenant: u64, item: u64) -> impl Future<Output = u64> + Send {
        of_tenant(tenant, item)
    }
}
