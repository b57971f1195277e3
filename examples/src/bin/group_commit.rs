//! Group commit on SQLite, where every commit is flushed to the disk: `#[batch(eager, concurrency = 1)]` against one
//! `INSERT` for each row; and `split_on_err`, where one row violates a constraint.
//!
//! ```sh
//! cargo run --release -p piggyback-examples --bin group_commit
//! ```
//!
//! Fails if a row that was acknowledged is missing, or there twice. How much there is to gain depends on how long the
//! disk takes to flush: `--folder` says on which.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use piggyback::batch;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{QueryBuilder, SqlitePool};

#[derive(Debug, Parser)]
#[command(about = "Group commit on SQLite, against one INSERT for each row")]
struct Options {
    /// Where the database goes, for as long as this runs
    #[arg(long)]
    folder: Option<PathBuf>,
    /// How long each way is measured, for each number of callers, in each of two rounds
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

#[derive(Clone, Debug)]
struct Db {
    /// One connection: SQLite has one writer at a time.
    pool: SqlitePool,
    /// Each is a transaction of its own, and, unless it fails, a commit.
    statements: Arc<AtomicUsize>,
}

impl Db {
    async fn create(file: &Path) -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        sqlx::raw_sql(
            "CREATE TABLE lines (id INTEGER NOT NULL, text TEXT NOT NULL);
             CREATE TABLE people (id INTEGER PRIMARY KEY, age INTEGER CHECK (age >= 0));",
        )
        .execute(&pool)
        .await?;
        Ok(Self {
            pool,
            statements: Arc::default(),
        })
    }

    async fn insert(&self, lines: &[Line]) -> sqlx::Result<()> {
        self.statements.fetch_add(1, Relaxed);
        QueryBuilder::new("INSERT INTO lines (id, text) ")
            .push_values(lines, |mut row, line| {
                row.push_bind(line.id).push_bind(&line.text);
            })
            .build()
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

#[derive(Debug)]
struct Line {
    id: i64,
    text: String,
}

/// What a caller does, either way.
type Saved = Result<(), Arc<sqlx::Error>>;

async fn one_each(db: &Db, line: Line) -> Saved {
    Ok(db.insert(&[line]).await?)
}

/// While one commit is flushed, the rows of the next gather.
#[batch(size = 1_000, delay_ms = 20, eager, concurrency = 1, skip(db))]
async fn group_commit(db: &Db, lines: &[Line]) -> Saved {
    Ok(db.insert(lines).await?)
}

#[derive(Clone, Copy)]
enum Way {
    OneEach,
    GroupCommit,
}

#[derive(Default)]
struct Measured {
    rows: usize,
    commits: usize,
    time: Duration,
}

/// So many callers, each with its next row as soon as the last one is acknowledged.
async fn measure(
    file: &Path,
    way: Way,
    callers: usize,
    length: Duration,
    sum: &mut Measured,
) -> anyhow::Result<()> {
    let db = Db::create(file).await?;
    let start = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                while start.elapsed() < length {
                    let id = (caller as i64) << 32 | acknowledged.len() as i64;
                    let text = format!("line {id:x}");
                    let line = Line { id, text };
                    match way {
                        Way::OneEach => one_each(&db, line).await?,
                        Way::GroupCommit => group_commit(&db, line).await?,
                    }
                    acknowledged.push(id);
                }
                Ok::<_, Arc<sqlx::Error>>(acknowledged)
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for caller in callers {
        acknowledged.extend(caller.await??);
    }
    sum.time += start.elapsed();
    sum.rows += acknowledged.len();
    sum.commits += db.statements.load(Relaxed);
    db.pool.close().await;

    let options = SqliteConnectOptions::new().filename(file);
    let reader = SqlitePool::connect_with(options).await?;
    let saved: Vec<(i64, String)> = sqlx::query_as("SELECT id, text FROM lines ORDER BY id")
        .fetch_all(&reader)
        .await?;
    acknowledged.sort_unstable();
    ensure!(
        saved.iter().map(|line| line.0).eq(acknowledged),
        "the table has other rows than were acknowledged"
    );
    ensure!(
        saved
            .iter()
            .all(|(id, text)| *text == format!("line {id:x}")),
        "a row has the text of another"
    );
    reader.close().await;
    Ok(())
}

/// A person's id and age. The statement is all or nothing.
#[batch(size = 64, delay_ms = 1_000, split_on_err, skip(db))]
async fn save_person(db: &Db, people: &[(i64, i64)]) -> sqlx::Result<()> {
    db.statements.fetch_add(1, Relaxed);
    QueryBuilder::new("INSERT INTO people (id, age) ")
        .push_values(people, |mut row, (id, age)| {
            row.push_bind(*id).push_bind(*age);
        })
        .build()
        .execute(&db.pool)
        .await?;
    Ok(())
}

/// Saves 64 people, of which these are younger than the database allows.
async fn split(file: &Path, bad: &[i64]) -> anyhow::Result<()> {
    let db = Db::create(file).await?;
    let callers: Vec<_> = (0..64)
        .map(|id| {
            let (db, age) = (db.clone(), if bad.contains(&id) { -1 } else { id });
            tokio::spawn(async move { save_person(&db, (id, age)).await })
        })
        .collect();
    for (id, caller) in (0..).zip(callers) {
        match caller.await? {
            Ok(()) => ensure!(!bad.contains(&id), "{id} can't have been saved"),
            Err(error) => {
                ensure!(bad.contains(&id), "{id} got an error of another: {error}");
                let check = error.as_database_error().map(|error| error.kind());
                ensure!(
                    matches!(check, Some(sqlx::error::ErrorKind::CheckViolation)),
                    "{id} got another error: {error}"
                );
            }
        }
    }
    let saved: Vec<i64> = sqlx::query_scalar("SELECT id FROM people ORDER BY id")
        .fetch_all(&db.pool)
        .await?;
    let expected = (0..64).filter(|id| !bad.contains(id));
    ensure!(
        saved.iter().copied().eq(expected),
        "other people are saved than should be"
    );
    let statements = db.statements.load(Relaxed);
    let most = 1 + bad.len() * 2 * 6;
    println!(
        "64 rows, {} bad: {} saved, {} errors, {statements} statements (at most {most})",
        bad.len(),
        saved.len(),
        bad.len()
    );
    ensure!(statements <= most, "too many statements");
    db.pool.close().await;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let length = Duration::try_from_secs_f64(options.seconds).context("--seconds")?;
    let folder = options.folder.unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new()
        .prefix("piggyback-group-commit-")
        .tempdir_in(folder)?;
    let mut databases = 0;
    let mut file = || {
        databases += 1;
        folder.path().join(format!("{databases}.db"))
    };

    println!("callers  way            commits/s     rows/s  rows/commit");
    for callers in [1, 8, 64] {
        let ways = [Way::OneEach, Way::GroupCommit];
        let mut sums = [Measured::default(), Measured::default()];
        // In turns, so that a disk that is slower for a while is so for both.
        for _ in 0..2 {
            for (way, sum) in ways.into_iter().zip(&mut sums) {
                measure(&file(), way, callers, length, sum).await?;
            }
        }
        for (way, sum) in ways.into_iter().zip(sums) {
            let way = match way {
                Way::OneEach => "one INSERT each",
                Way::GroupCommit => "group commit",
            };
            let seconds = sum.time.as_secs_f64();
            println!(
                "{callers:7}  {way:15}  {:7.0}  {:9.0}  {:11.1}",
                sum.commits as f64 / seconds,
                sum.rows as f64 / seconds,
                sum.rows as f64 / sum.commits as f64,
            );
        }
    }
    println!();
    for bad in [&[][..], &[0], &[41], &[63], &[5, 20, 50]] {
        split(&file(), bad).await?;
    }
    Ok(())
}
