//! Upserts of rows that overlap, by several processes at a time: with `unique` and `sort_by`, not one of 100,000 is chosen as
//! the victim of a deadlock. Without, some are, which is counted and shown (`--nocapture`).
//!
//! Reads `DATABASE_URL`; without it, the test says so and passes.

use std::env;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use piggyback::batch;
use tokio::sync::{Mutex, Semaphore};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

const PROCESSES: usize = 4;
const CALLERS: usize = 64;
const CONNECTIONS: usize = 4;
/// So few that nearly every two statements share some.
const ROWS: u64 = 300;

#[derive(Debug, Clone)]
enum DbError {
    /// 40P01, `deadlock detected`.
    Deadlock,
    Other(String),
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) {
            Self::Deadlock
        } else {
            Self::Other(format!("{error:?}"))
        }
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    // One second otherwise, for each deadlock.
    let hurry = client.batch_execute("SET deadlock_timeout = '20ms'").await;
    hurry.unwrap();
    client
}

#[derive(Clone)]
struct Db {
    idle: Arc<Mutex<Vec<Client>>>,
    permits: Arc<Semaphore>,
    table: Arc<str>,
}

impl Db {
    #[batch(
        size = 16, eager, limit = self.permits, key(self = ()),
        unique = |row| row.0, // no row twice in a statement, nor in two that run at the same time
        sort_by = |row| row.0, // all processes lock rows in one order
    )]
    async fn save(&self, rows: &[(i64, i64)]) -> Result<(), DbError> {
        self.upsert(rows).await
    }

    /// As one would write it at first: the rows as they came. A row that is there twice would be an error of its own.
    #[batch(size = 16, eager, limit = self.permits, key(self = ()))]
    async fn save_unordered(&self, rows: &[(i64, i64)]) -> Result<(), DbError> {
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for &(id, by) in rows {
            match merged.iter_mut().find(|row| row.0 == id) {
                Some(row) => row.1 += by,
                None => merged.push((id, by)),
            }
        }
        self.upsert(&merged).await
    }

    async fn upsert(&self, rows: &[(i64, i64)]) -> Result<(), DbError> {
        let client = self.idle.lock().await.pop();
        let client = client.expect("a permit is a connection");
        let (ids, by): (Vec<i64>, Vec<i64>) = rows.iter().copied().unzip();
        let table = &self.table;
        let statement = format!(
            "INSERT INTO {table} AS t (id, count) SELECT * FROM UNNEST($1::bigint[], $2::bigint[])
             ON CONFLICT (id) DO UPDATE SET count = t.count + EXCLUDED.count"
        );
        let done = client.execute(&statement, &[&ids, &by]).await;
        self.idle.lock().await.push(client);
        assert_eq!(done?, rows.len() as u64);
        Ok(())
    }
}

/// One of the processes: prints how many upserts were saved, and how many were victims of deadlocks.
async fn process(url: &str, job: &str) {
    let [table, upserts, seed, ordered] = job.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{job}");
    };
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(connect(url).await);
    }
    let db = Db {
        idle: Arc::new(Mutex::new(clients)),
        permits: Arc::new(Semaphore::new(CONNECTIONS)),
        table: table.into(),
    };
    let (upserts, seed): (usize, u64) = (upserts.parse().unwrap(), seed.parse().unwrap());
    let is_ordered = ordered == "ordered";
    let callers = (0..CALLERS as u64).map(|caller| {
        let db = db.clone();
        tokio::spawn(async move {
            let (mut saved, mut deadlocks) = (0, 0);
            let mut random = seed << 32 | caller;
            for _ in 0..upserts / CALLERS {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let row = (((random >> 33) % ROWS) as i64, 1);
                let done = match is_ordered {
                    true => db.save(row).await,
                    false => db.save_unordered(row).await,
                };
                match done {
                    Ok(()) => saved += 1,
                    Err(DbError::Deadlock) => deadlocks += 1,
                    Err(DbError::Other(error)) => panic!("{error}"),
                }
            }
            (saved, deadlocks)
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut all = (0, 0);
    for caller in callers {
        let (saved, deadlocks): (u64, u64) = caller.await.unwrap();
        all = (all.0 + saved, all.1 + deadlocks);
    }
    println!("\nsaved {} deadlocks {}", all.0, all.1);
}

const JOB: &str = "PIGGYBACK_UPSERTS";

/// Returns how many were saved, and how many were victims of deadlocks.
async fn run(url: &str, upserts: usize, ordered: bool) -> (u64, u64) {
    let table = format!("upserts_{}_{ordered}", std::process::id());
    let client = connect(url).await;
    let create = format!("CREATE TABLE {table} (id bigint PRIMARY KEY, count bigint NOT NULL)");
    client.batch_execute(&create).await.unwrap();
    let start = |seed| -> Child {
        let how = if ordered { "ordered" } else { "unordered" };
        let job = format!("{table} {} {seed} {how}", upserts / PROCESSES);
        Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "processes_that_upsert_in_one_order_never_deadlock",
            ])
            .arg("--nocapture")
            .env(JOB, job)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (1..=PROCESSES).map(start).collect();
    let mut all = (0, 0);
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        let line = said.lines().find(|line| line.starts_with("saved "));
        let words: Vec<&str> = line.unwrap().split(' ').collect();
        let [saved, deadlocks] = [words[1], words[3]].map(|n| n.parse::<u64>().unwrap());
        all = (all.0 + saved, all.1 + deadlocks);
    }
    let sum = format!("SELECT sum(count)::bigint FROM {table}");
    let written: i64 = client.query_one(&sum, &[]).await.unwrap().get(0);
    let drop = format!("DROP TABLE {table}");
    client.batch_execute(&drop).await.unwrap();
    assert_eq!(written as u64, all.0, "each was saved once");
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_upsert_in_one_order_never_deadlock() {
    let Ok(url) = env::var("DATABASE_URL") else {
        eprintln!("skipped: DATABASE_URL is not set");
        return;
    };
    // The test starts itself, with one job for each process.
    if let Ok(job) = env::var(JOB) {
        return process(&url, &job).await;
    }
    let each = PROCESSES * CALLERS;
    let upserts = 100_000_usize.div_ceil(each) * each;
    let (saved, deadlocks) = run(&url, upserts, true).await;
    assert_eq!((saved, deadlocks), (upserts as u64, 0));
    let (saved, deadlocks) = run(&url, upserts / 10, false).await;
    println!(
        "{upserts} upserts with `unique` and `sort_by`: no deadlock. {} without: {deadlocks} victims of deadlocks",
        saved + deadlocks
    );
}
