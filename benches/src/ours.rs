//! Our own functions, as a user would write them.

use crate::{
    batch::{Batcher, Body, Setup, bulk_called},
    dedup::{Calls, GATE, executed},
    workloads::{growth::Tenants, postgres},
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

/// Both attributes. For batches it holds the workload, since the functions know their sizes themselves.
pub(crate) enum Piggyback {
    Dedup,
    Size100,
    Size10,
    Size1,
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
