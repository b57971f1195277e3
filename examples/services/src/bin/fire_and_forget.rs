//! Fire and forget: requests hand over their audit records and don't wait for them. Errors are logged, the queue has a limit,
//! and a shutdown loses nothing.
//!
//! ```sh
//! cargo run -p piggyback-services --features sqlite --bin fire_and_forget
//! ```
//!
//! A call of a `#[batch]` function is a future that its caller awaits, so somebody has to: a task. The tasks are kept in a
//! `TaskTracker`, which tells at the end when all of them are done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use piggyback::{Scope, batch};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{QueryBuilder, SqlitePool};
use tokio_util::task::TaskTracker;

#[derive(Clone)]
struct Audit {
    pool: SqlitePool,
    tasks: TaskTracker,
    scope: Scope,
    max_waiting: usize,
    delay_ms: u64,
    lost: Arc<AtomicU64>,
}

#[derive(Clone, Debug, thiserror::Error)]
enum AuditError {
    #[error("the queue is full")]
    Full,
    #[error("{0}")]
    Database(Arc<sqlx::Error>),
}

impl From<sqlx::Error> for AuditError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

#[derive(Clone, Debug)]
struct Record {
    user: i64,
    action: String,
}

impl Audit {
    async fn new(pool: SqlitePool) -> sqlx::Result<Self> {
        sqlx::raw_sql(
            "CREATE TABLE audit (user INTEGER NOT NULL, action TEXT NOT NULL CHECK (action <> ''))",
        )
        .execute(&pool)
        .await?;
        Ok(Self {
            pool,
            tasks: TaskTracker::new(),
            scope: Scope::new(),
            max_waiting: 10_000,
            delay_ms: 1_000,
            lost: Arc::default(),
        })
    }

    /// Records are collected for a second, since no caller waits for them. A record that violates a constraint fails alone.
    #[batch(
        size = 1_000,
        delay_ms = self.delay_ms,
        concurrency = 1,
        max_waiting = self.max_waiting,
        busy = AuditError::Full,
        scope = self.scope,
        split_on_err = |error| matches!(error, AuditError::Database(error) if is_violation(error))
    )]
    async fn save(&self, records: &[Record]) -> Result<(), AuditError> {
        QueryBuilder::new("INSERT INTO audit (user, action) ")
            .push_values(records, |mut row, record| {
                row.push_bind(record.user).push_bind(&record.action);
            })
            .build()
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Returns at once.
    fn record(&self, record: Record) {
        let audit = self.clone();
        self.tasks.spawn(async move {
            if let Err(error) = audit.save(record.clone()).await {
                audit.lost.fetch_add(1, Relaxed);
                eprintln!("not recorded: {record:?}: {error}");
            }
        });
    }

    /// To be called after the last `record`.
    async fn shut_down(self) {
        self.tasks.close();
        // A task that has just been spawned has not called `save` yet, so it may come after a flush.
        while !self.tasks.is_empty() {
            self.scope.flush().await;
            tokio::task::yield_now().await;
        }
        self.pool.close().await;
    }
}

fn is_violation(error: &sqlx::Error) -> bool {
    let kind = error.as_database_error().map(|error| error.kind());
    matches!(kind, Some(sqlx::error::ErrorKind::CheckViolation))
}

fn login(user: i64) -> Record {
    Record {
        user,
        action: "login".to_owned(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::temp_dir().join(format!("piggyback-audit-{}.sqlite", std::process::id()));
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let audit = Audit::new(SqlitePool::connect(&url).await?).await?;
    for user in 0..5_000 {
        audit.record(login(user));
    }
    audit.record(Record {
        user: 1,
        action: String::new(),
    });
    let (scope, lost) = (audit.scope.clone(), audit.lost.clone());
    audit.shut_down().await;

    let pool = SqlitePoolOptions::new().connect(&url).await?;
    let saved: i64 = sqlx::query_scalar("SELECT count(*) FROM audit")
        .fetch_one(&pool)
        .await?;
    pool.close().await;
    std::fs::remove_file(file)?;
    println!(
        "5,001 records: {saved} saved, {} logged as lost",
        lost.load(Relaxed)
    );
    print!("{}", scope.stats());
    assert_eq!(saved, 5_000);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A second pool on the database, for after the shutdown.
    async fn saved(pool: &SqlitePool) -> BTreeSet<i64> {
        let options = pool.connect_options().as_ref().clone();
        let reader = SqlitePool::connect_with(options).await.unwrap();
        let users: Vec<i64> = sqlx::query_scalar("SELECT user FROM audit")
            .fetch_all(&reader)
            .await
            .unwrap();
        reader.close().await;
        let distinct: BTreeSet<i64> = users.iter().copied().collect();
        assert_eq!(distinct.len(), users.len(), "a record is there twice");
        distinct
    }

    #[sqlx::test]
    async fn a_shutdown_loses_nothing(pool: SqlitePool) {
        let mut audit = Audit::new(pool.clone()).await.unwrap();
        // Nothing but a flush runs a batch that is not full.
        audit.delay_ms = 600_000;
        for user in 0..2_500 {
            audit.record(login(user));
        }
        audit.shut_down().await;
        assert_eq!(saved(&pool).await, (0..2_500).collect());
    }

    #[sqlx::test]
    async fn a_bad_record_is_logged_and_costs_no_other(pool: SqlitePool) {
        let audit = Audit::new(pool.clone()).await.unwrap();
        for user in 0..100 {
            let action = if user == 41 { "" } else { "login" };
            audit.record(Record {
                user,
                action: action.to_owned(),
            });
        }
        let lost = audit.lost.clone();
        audit.shut_down().await;
        assert_eq!(lost.load(Relaxed), 1);
        assert_eq!(
            saved(&pool).await,
            (0..100).filter(|user| *user != 41).collect()
        );
    }

    #[sqlx::test]
    async fn records_beyond_the_queue_are_logged(pool: SqlitePool) {
        let mut audit = Audit::new(pool.clone()).await.unwrap();
        audit.delay_ms = 600_000;
        audit.max_waiting = 10;
        for user in 0..15 {
            audit.record(login(user));
        }
        let (scope, lost) = (audit.scope.clone(), audit.lost.clone());
        while scope.stats().rows.first().is_none_or(|row| row.calls < 15) {
            tokio::task::yield_now().await;
        }
        audit.shut_down().await;
        assert_eq!(lost.load(Relaxed), 5);
        assert_eq!(scope.stats().rows[0].refused, 5);
        assert_eq!(saved(&pool).await.len(), 10);
    }
}
