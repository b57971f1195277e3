//! A database as a service sees it: a few connections, each of which is busy for as long as a query takes. Each service has
//! one of its own, so that they do not get into each other's way.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use crate::settings::SETTINGS;

pub(crate) const CONNECTIONS: usize = 20;

/// A row violates a constraint, so the statement saves nothing.
#[derive(Debug, Clone)]
pub(crate) struct BadRow;

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) bad: bool,
}

#[derive(Debug)]
pub(crate) struct Database {
    connections: Semaphore,
    paused: watch::Sender<bool>,
    queries: AtomicU64,
    /// The rows of each INSERT since the last look.
    inserts: Mutex<Vec<usize>>,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self {
            connections: Semaphore::new(CONNECTIONS),
            paused: watch::Sender::new(false),
            queries: AtomicU64::new(0),
            inserts: Mutex::default(),
        }
    }

    async fn query(&self) {
        let _connection = self.connections.acquire().await.expect("never closed");
        self.queries.fetch_add(1, Relaxed);
        let mut paused = self.paused.subscribe();
        // Fails only if the sender is gone, and `self` has it.
        let _ = paused.wait_for(|paused| !paused).await;
        sleep(Duration::from_millis(SETTINGS.values().latency_ms)).await;
    }

    pub(crate) async fn select(&self, key: u64) -> String {
        self.query().await;
        format!("user {key}")
    }

    pub(crate) async fn insert(&self, rows: &[Row]) -> Result<(), BadRow> {
        self.inserts.lock().unwrap().push(rows.len());
        self.query().await;
        if rows.iter().any(|row| row.bad) {
            Err(BadRow)
        } else {
            Ok(())
        }
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    pub(crate) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    pub(crate) fn take_queries(&self) -> u64 {
        self.queries.swap(0, Relaxed)
    }

    pub(crate) fn take_inserts(&self) -> Vec<usize> {
        std::mem::take(&mut self.inserts.lock().unwrap())
    }
}
