//! The two services: the same functions, plain and with the attributes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use piggyback::{Kind, Scope, batch, dedup};
use tokio::sync::Notify;

use crate::database::{BadRow, Database, Row};
use crate::settings::SETTINGS;

#[derive(Debug, Clone)]
pub(crate) enum Request {
    Read(u64),
    Write(Row),
}

#[derive(Debug)]
pub(crate) struct Service {
    attributes: bool,
    scope: Scope,
    pub(crate) database: Database,
    /// Reads that are running a query, by key, with what hangs up their caller.
    reading: Mutex<BTreeMap<(u64, u64), Arc<Notify>>>,
    /// Requests in progress.
    pub(crate) waiting: AtomicUsize,
    pub(crate) counts: Counts,
}

/// Counts since the last look.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) answered: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) latencies: Mutex<Vec<Duration>>,
}

tokio::task_local! {
    /// Hangs up the caller whose task this is. The body of `#[dedup]` runs in the leader's task, so it finds the leader's.
    static HANG_UP: Arc<Notify>;
}

/// Takes a read off the list when its query has ended or its caller is gone.
struct Reading<'a> {
    service: &'a Service,
    entry: (u64, u64),
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.service.reading.lock().unwrap().remove(&self.entry);
    }
}

async fn plain_user(service: &Service, key: u64) -> String {
    let _reading = service.reading(key);
    service.database.select(key).await
}

#[dedup(scope = service.scope)]
async fn user(service: &Service, key: u64) -> String {
    let _reading = service.reading(key);
    service.database.select(key).await
}

#[batch(size = SETTINGS.size(), delay_ms = SETTINGS.delay_ms(), scope = service.scope, split_on_err)]
async fn save(service: &Arc<Service>, rows: &[Row]) -> Result<(), BadRow> {
    service.database.insert(rows).await
}

#[batch(size = SETTINGS.size(), eager, scope = service.scope, split_on_err)]
async fn save_eagerly(service: &Arc<Service>, rows: &[Row]) -> Result<(), BadRow> {
    service.database.insert(rows).await
}

impl Service {
    pub(crate) fn new(attributes: bool) -> Arc<Self> {
        Arc::new(Self {
            attributes,
            scope: Scope::new(),
            database: Database::new(),
            reading: Mutex::default(),
            waiting: AtomicUsize::new(0),
            counts: Counts::default(),
        })
    }

    fn reading(&self, key: u64) -> Reading<'_> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let entry = (key, NUMBERS.fetch_add(1, Relaxed));
        let hang_up = HANG_UP.with(Arc::clone);
        self.reading.lock().unwrap().insert(entry, hang_up);
        Reading {
            service: self,
            entry,
        }
    }

    /// Hangs up the caller that runs the query for the hottest key. Returns the key.
    pub(crate) fn drop_leader(&self) -> Option<u64> {
        let reading = self.reading.lock().unwrap();
        let (&(key, _), hang_up) = reading.first_key_value()?;
        hang_up.notify_one();
        Some(key)
    }

    /// Leaders that were dropped while others waited.
    pub(crate) fn takeovers(&self) -> u64 {
        let rows = self.scope.stats().rows;
        rows.iter()
            .map(|row| match row.kind {
                Kind::Dedup {
                    leaders_dropped, ..
                } => leaders_dropped,
                _ => 0,
            })
            .sum()
    }

    async fn answer(self: &Arc<Self>, request: Request) -> Result<(), BadRow> {
        match (request, self.attributes) {
            (Request::Read(key), false) => drop(plain_user(self, key).await),
            (Request::Read(key), true) => drop(user(self, key).await),
            (Request::Write(row), false) => self.database.insert(&[row]).await?,
            (Request::Write(row), true) if SETTINGS.values().eager => {
                save_eagerly(self, row).await?;
            }
            (Request::Write(row), true) => save(self, row).await?,
        }
        Ok(())
    }

    /// Handles a request in a task, as a server does, unless there are too many.
    pub(crate) fn handle(self: &Arc<Self>, request: Request) {
        if self.waiting.load(Relaxed) as u64 >= SETTINGS.values().callers {
            self.counts.refused.fetch_add(1, Relaxed);
            return;
        }
        self.waiting.fetch_add(1, Relaxed);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let start = Instant::now();
            let hang_up = Arc::new(Notify::new());
            let answer = HANG_UP.scope(hang_up.clone(), this.answer(request));
            let answer = tokio::select! {
                answer = answer => Some(answer),
                () = hang_up.notified() => None,
            };
            this.waiting.fetch_sub(1, Relaxed);
            match answer {
                Some(Ok(())) => {
                    this.counts.answered.fetch_add(1, Relaxed);
                    this.counts.latencies.lock().unwrap().push(start.elapsed());
                }
                Some(Err(BadRow)) => _ = this.counts.failed.fetch_add(1, Relaxed),
                None => {}
            }
        });
    }
}
