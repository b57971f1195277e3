//! What an overload does to PostgreSQL: rows arrive at twice the rate that it can save, without a limit and with one.
//!
//! ```sh
//! DATABASE_URL=postgres://postgres@127.0.0.1/test \
//!     cargo run -p piggyback-services --features postgres --bin overload_postgres
//! ```
//!
//! It takes about ten seconds. `-- --check` takes half of that, and fails if a promise is not kept.
//!
//! Calls arrive at a fixed rate, whether earlier ones were answered or not, and give up after half a second. A statement takes
//! 50 ms, which `pg_sleep` spends, and saves up to 20 rows. Each variant has two connections, so PostgreSQL saves at most 800
//! rows per second for it. After the last call, the program waits until nothing is under way, and then counts in the tables:
//! the statements, the rows, and the rows of callers that had given up. Their rows cost as much as any other, and no caller waits for them.

use std::collections::HashSet;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::try_join_all;
use piggyback::{Scope, batch};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

const CONNECTIONS: usize = 2;
const SIZE: usize = 20;
const STATEMENTS_PER_SECOND: usize = 20;
const PATIENCE: Duration = Duration::from_millis(500);
/// Rows per second, if a statement takes no longer than its `pg_sleep`.
const CAPACITY: usize = CONNECTIONS * SIZE * STATEMENTS_PER_SECOND;

const SHOWN: Duration = Duration::from_secs(5);
const CHECKED: Duration = Duration::from_millis(2_500);

#[derive(Clone, Debug, thiserror::Error)]
enum SaveError {
    #[error("too many rows wait to be saved")]
    Busy,
    #[error("{0}")]
    Database(Arc<sqlx::Error>),
}

impl From<sqlx::Error> for SaveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// What a variant works with. Each has connections of its own, and a table.
#[derive(Clone, Debug)]
struct Db {
    pool: PgPool,
    scope: Scope,
}

/// The statement that saves rows. Tables differ, so that `pg_stat_statements` tells their statements apart.
macro_rules! statement {
    ($table:literal) => {
        concat!(
            "WITH slow AS MATERIALIZED (SELECT pg_sleep(0.05)) INSERT INTO ",
            $table,
            " (id, statement) SELECT id, pg_current_xact_id() FROM slow, UNNEST($1::bigint[]) AS id",
        )
    };
}

async fn save(db: &Db, statement: &'static str, ids: &[i64]) -> Result<(), SaveError> {
    sqlx::query(statement).bind(ids).execute(&db.pool).await?;
    Ok(())
}

async fn plain(db: &Db, id: i64) -> Result<(), SaveError> {
    save(db, statement!("saved_plain"), &[id]).await
}

#[batch(size = SIZE, eager, scope = db.scope)]
async fn without_limit(db: &Db, ids: &[i64]) -> Result<(), SaveError> {
    save(db, statement!("saved_batch"), ids).await
}

#[batch(size = SIZE, eager, concurrency = CONNECTIONS, max_waiting = 80, busy = SaveError::Busy, scope = db.scope)]
async fn with_concurrency(db: &Db, ids: &[i64]) -> Result<(), SaveError> {
    save(db, statement!("saved_concurrency"), ids).await
}

static LIMIT: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(CONNECTIONS)));

#[batch(size = SIZE, eager, limit = LIMIT, max_waiting = 80, busy = SaveError::Busy, scope = db.scope)]
async fn with_limit(db: &Db, ids: &[i64]) -> Result<(), SaveError> {
    save(db, statement!("saved_limit"), ids).await
}

type Saved = Pin<Box<dyn Future<Output = Result<(), SaveError>> + Send>>;

#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    table: &'static str,
    save: fn(Db, i64) -> Saved,
    expected: Expected,
}

/// What the database does while more rows arrive than it can save.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    /// Little: calls give up while they wait for a connection.
    Idles,
    /// It works for callers that have given up.
    Wastes,
    /// It works for callers that wait.
    Serves,
}

macro_rules! variant {
    ($name:literal, $table:literal, $save:ident, $expected:ident) => {
        Variant {
            name: $name,
            table: $table,
            save: |db, id| Box::pin(async move { $save(&db, id).await }),
            expected: Expected::$expected,
        }
    };
}

const VARIANTS: [Variant; 4] = [
    variant!("plain", "saved_plain", plain, Idles),
    variant!("#[batch]", "saved_batch", without_limit, Wastes),
    variant!(
        "concurrency, max_waiting",
        "saved_concurrency",
        with_concurrency,
        Serves
    ),
    variant!("limit, max_waiting", "saved_limit", with_limit, Serves),
];

#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Saved,
    Busy,
    GaveUp,
}

struct Call {
    id: i64,
    ended: Duration,
    answer: Answer,
}

/// What the callers of a variant got, and what the database saw of them.
struct Run {
    variant: Variant,
    lasts: Duration,
    calls: Vec<Call>,
    statements: usize,
    rows: usize,
    /// Rows whose callers had given up.
    for_nobody: usize,
}

async fn run(
    variant: Variant,
    options: PgConnectOptions,
    lasts: Duration,
) -> Result<Run, SaveError> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS as u32)
        .connect_with(options.clone())
        .await?;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "CREATE TABLE {} (id bigint PRIMARY KEY, statement xid8 NOT NULL)",
        variant.table
    )))
    .execute(&pool)
    .await?;
    let db = Db {
        pool,
        scope: Scope::new(),
    };

    let (mut calls, mut now, mut id) = (JoinSet::new(), Duration::ZERO, 0);
    let start = Instant::now();
    while now < lasts {
        sleep_until(start + now).await;
        for _ in 0..2 * CAPACITY / 200 {
            let db = db.clone();
            id += 1;
            calls.spawn(async move {
                let answer = match timeout(PATIENCE, (variant.save)(db, id)).await {
                    Ok(Ok(())) => Answer::Saved,
                    Ok(Err(SaveError::Busy)) => Answer::Busy,
                    Ok(Err(error)) => return Err(error),
                    Err(_) => Answer::GaveUp,
                };
                let ended = start.elapsed();
                Ok(Call { id, ended, answer })
            });
        }
        now += Duration::from_millis(5);
    }
    let calls = calls.join_all().await;
    let calls: Vec<Call> = calls.into_iter().collect::<Result<_, _>>()?;
    // Statements without callers are still under way.
    db.scope.flush().await;
    db.pool.close().await;

    let counts = PgPool::connect_with(options).await?;
    let (statements, ids): (i64, Vec<i64>) = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT count(DISTINCT statement::text), COALESCE(array_agg(id), '{{}}') FROM {}",
        variant.table
    )))
    .fetch_one(&counts)
    .await?;
    counts.close().await;
    let gone = calls.iter().filter(|call| call.answer == Answer::GaveUp);
    let gone: HashSet<i64> = gone.map(|call| call.id).collect();
    Ok(Run {
        variant,
        lasts,
        statements: statements as usize,
        rows: ids.len(),
        for_nobody: ids.iter().filter(|id| gone.contains(id)).count(),
        calls,
    })
}

async fn overload(options: &PgConnectOptions, lasts: Duration) -> Result<Vec<Run>, SaveError> {
    try_join_all(VARIANTS.map(|variant| run(variant, options.clone(), lasts))).await
}

impl Run {
    fn count(&self, answer: Answer) -> usize {
        let calls = self.calls.iter().filter(|call| call.answer == answer);
        calls.count()
    }

    /// Answers in time in the last two seconds in which calls arrive, in percent of what the database can save.
    fn goodput(&self) -> usize {
        let late = self.lasts.saturating_sub(Duration::from_secs(2))..self.lasts;
        let seconds = (late.end - late.start).as_secs_f64();
        let saved = self
            .calls
            .iter()
            .filter(|call| call.answer == Answer::Saved && late.contains(&call.ended));
        (100.0 * saved.count() as f64 / seconds / CAPACITY as f64).round() as usize
    }

    /// What holds on a busy machine too, on which the database saves fewer rows: with a limit, at least four in five of the
    /// rows that it saves are for callers that wait. A batch without one also saves rows of callers that have given up.
    fn check(&self) -> Result<(), String> {
        let answered = self.count(Answer::Saved);
        let is_right = match self.variant.expected {
            Expected::Idles => self.rows <= self.statements,
            Expected::Wastes => self.for_nobody > 0,
            Expected::Serves => {
                answered > 0 && 5 * answered >= 4 * self.rows && self.count(Answer::Busy) > 0
            }
        };
        // A row is that of a caller that was answered, or of one that gave up. Calls that were refused have none.
        if is_right && answered + self.for_nobody == self.rows {
            return Ok(());
        }
        Err(format!(
            "{}: {answered} calls answered in time, {} rows saved, {} of them for nobody",
            self.variant.name, self.rows, self.for_nobody
        ))
    }
}

fn show(runs: &[Run]) {
    println!(
        "{:<24} {:>8} {:>9} {:>7} {:>8} {:>11} {:>7} {:>11}",
        "twice the capacity",
        "goodput",
        "in time",
        "busy",
        "gave up",
        "statements",
        "rows",
        "for nobody",
    );
    for run in runs {
        println!(
            "{:<24} {:>7}% {:>9} {:>7} {:>8} {:>11} {:>7} {:>10}%",
            run.variant.name,
            run.goodput(),
            run.count(Answer::Saved),
            run.count(Answer::Busy),
            run.count(Answer::GaveUp),
            run.statements,
            run.rows,
            100 * run.for_nobody / run.rows.max(1),
        );
    }
}

/// What `pg_stat_statements` has counted of each table so far: calls and rows.
async fn counted(pool: &PgPool) -> sqlx::Result<Vec<(i64, i64)>> {
    let mut counted = Vec::new();
    for Variant { table, .. } in VARIANTS {
        let row = sqlx::query_as(
            "SELECT COALESCE(sum(calls), 0)::bigint, COALESCE(sum(rows), 0)::bigint
             FROM pg_stat_statements WHERE query LIKE '%INSERT INTO ' || $1 || ' (id%'",
        );
        counted.push(row.bind(table).fetch_one(pool).await?);
    }
    Ok(counted)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Ok(url) = std::env::var("DATABASE_URL") else {
        println!("skipped: set DATABASE_URL=postgres://…");
        return Ok(());
    };
    let is_check = std::env::args().any(|argument| argument == "--check");
    let lasts = if is_check { CHECKED } else { SHOWN };

    // The tables are in a schema of their own, which goes away at the end.
    let schema = format!("piggyback_{}", std::process::id());
    let admin = PgPool::connect(&url).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
        .execute(&admin)
        .await?;
    let options = PgConnectOptions::from_str(&url)?.options([("search_path", &schema)]);
    let before = counted(&admin).await;
    let runs = overload(&options, lasts).await;
    let after = counted(&admin).await;
    sqlx::raw_sql(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE")))
        .execute(&admin)
        .await?;

    let runs = runs?;
    show(&runs);
    match before.and_then(|before| Ok((before, after?))) {
        Ok((before, after)) => {
            println!("\npg_stat_statements counted:");
            for ((variant, before), after) in VARIANTS.iter().zip(before).zip(after) {
                let (calls, rows) = (after.0 - before.0, after.1 - before.1);
                println!("{:<24} {calls} statements, {rows} rows", variant.name);
            }
        }
        Err(error) => println!("\nwithout the figures of pg_stat_statements: {error}"),
    }
    if is_check {
        runs.iter().try_for_each(Run::check)?;
    }
    Ok(())
}

#[cfg(all(test, not(database)))]
#[test]
fn needs_a_database() {
    println!("skipped: DATABASE_URL was not set when the tests were compiled");
}

#[cfg(all(test, database))]
mod tests {
    use super::*;

    #[sqlx::test]
    async fn only_without_a_limit_does_the_database_work_for_callers_that_gave_up(pool: PgPool) {
        let runs = overload(&pool.connect_options(), CHECKED).await.unwrap();
        show(&runs);
        let wrong: Vec<String> = runs.iter().filter_map(|run| run.check().err()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
