//! E: what the attribute is for. Callers insert one row each into PostgreSQL; batches make it one
//! statement for many. Against the same callers with a statement each, and against a program that has
//! ready-made lists, which is the limit.

use super::Workload;
use crate::{
    alloc,
    measure::{Plan, Progress, quartiles},
    ours,
    record::{Column, Kind, Who},
    report::Table,
    side_by_side::Flavour,
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::{sync::Arc, time::Instant};
use tokio::sync::{mpsc, oneshot};

const SIZE: usize = 100;
const DELAY_MS: u64 = 5;
/// The default of a pool, and the number for all contenders.
const CONNECTIONS: u32 = 10;

/// The number of callers, and of the rows that they insert in each round.
#[derive(Clone, Copy)]
struct Load {
    id: &'static str,
    title: &'static str,
    callers: u64,
    /// With `--quick` it is a tenth, and for slow contenders a tenth of that: these are multiples of `SIZE` and of `callers`.
    rows: u64,
    /// Rows a second, as a share of those of as many ready-made lists as the callers fill.
    goal: f64,
}

const FEW: Load = Load {
    id: "E",
    title: "256 callers insert one row each into PostgreSQL, size 100, 5 ms; rows a second",
    callers: 256,
    rows: 128_000,
    goal: 0.90,
};

/// They fill all connections.
const MANY: Load = Load {
    id: "E 1024",
    title: "1,024 callers insert one row each into PostgreSQL, size 100, 5 ms; rows a second",
    callers: 1_024,
    rows: 512_000,
    goal: 0.95,
};

pub(crate) fn workloads() -> [Workload; 2] {
    [
        Workload::Other(FEW.id, FEW.title, |plan| run(FEW, plan)),
        Workload::Other(MANY.id, MANY.title, |plan| run(MANY, plan)),
    ]
}

fn run(load: Load, plan: &Plan) -> Vec<Table> {
    let columns = vec![Column::timed("rows/s")];
    let mut table = Table::new(load.id, load.title, columns);
    table.more_is_better = true;
    let Ok(url) = std::env::var("DATABASE_URL") else {
        table
            .notes
            .push("skipped: set DATABASE_URL to a PostgreSQL database to run it".into());
        return vec![table];
    };
    let all_rows = plan.calls(load.rows);
    let rounds = plan.rounds(7);
    let progress = Progress::new(load.id);
    let mut contenders = contenders(load.callers);
    let mut figures = vec![Vec::new(); contenders.len()];
    let measured = Flavour::Multi.runtime().block_on(async {
        let pool = PgPoolOptions::new()
            .min_connections(CONNECTIONS)
            .max_connections(CONNECTIONS)
            .connect(&url)
            .await?;
        sqlx::query("DROP TABLE IF EXISTS piggyback_bench")
            .execute(&pool)
            .await?;
        sqlx::query("CREATE TABLE piggyback_bench (id bigint PRIMARY KEY, name text NOT NULL)")
            .execute(&pool)
            .await?;
        for round in 0..=rounds {
            for i in 0..contenders.len() {
                let at = (round + i) % contenders.len();
                let (who, share, insert) = &mut contenders[at];
                let rows = all_rows / *share;
                progress.say(&format!("round {round}/{rounds}  {}", who.name));
                sqlx::query("TRUNCATE piggyback_bench")
                    .execute(&pool)
                    .await?;
                let begun = Instant::now();
                insert(pool.clone(), rows).await;
                let seconds = begun.elapsed().as_secs_f64();
                let (inserted,): (i64,) = sqlx::query_as("SELECT count(*) FROM piggyback_bench")
                    .fetch_one(&pool)
                    .await?;
                assert_eq!(inserted as u64, rows, "{} lost rows", who.name);
                // The first round warms up.
                if round > 0 {
                    figures[at].push(rows as f64 / seconds);
                }
            }
        }
        sqlx::query("DROP TABLE piggyback_bench")
            .execute(&pool)
            .await?;
        let (server,): (String,) = sqlx::query_as(SERVER).fetch_one(&pool).await?;
        Ok::<_, sqlx::Error>(server)
    });
    progress.done();
    debug_assert!(!alloc::counting());
    match measured {
        Ok(server) => table.notes.push(server),
        Err(error) => {
            table.notes.push(format!("failed: {error}"));
            return vec![table];
        }
    }
    for ((who, ..), figures) in contenders.into_iter().zip(figures) {
        table.push(who, vec![quartiles(figures)]);
    }
    if let (Some(ours), Some(limit)) = (table.ours(0), table.of(AS_MANY, 0)) {
        table.goal_at_least(format!("÷ {AS_MANY}"), ours / limit, load.goal);
    }
    if let (Some(ours), Some(single)) = (table.ours(0), table.of("one INSERT each", 0)) {
        table.notes.push(format!(
            "#[batch] is {:.1} times one INSERT each",
            ours / single
        ));
    }
    vec![table]
}

/// The limit: with 256 callers there are never more than two full lists of 100 under way, and with 1,024 not more than ten.
const AS_MANY: &str = "ready-made lists of 100, as many as callers fill";

/// The settings that decide how long a commit takes.
const SERVER: &str = "SELECT format('PostgreSQL %s, fsync %s, synchronous_commit %s', \
     split_part(current_setting('server_version'), ' ', 1), current_setting('fsync'), \
     current_setting('synchronous_commit'))";

type Insert = Box<dyn FnMut(PgPool, u64) -> futures::future::BoxFuture<'static, ()>>;

/// Who, the share of the rows that it inserts (the slow ones need not insert all), and how.
fn contenders(at_a_time: u64) -> Vec<(Who, u64, Insert)> {
    let who = |name: &str, kind| Who {
        name: name.into(),
        kind,
    };
    let as_many = at_a_time / SIZE as u64;
    let mut contenders: Vec<(Who, u64, Insert)> = vec![
        (
            who("piggyback #[batch]", Kind::Ours),
            1,
            Box::new(move |pool, rows| {
                Box::pin(callers(at_a_time, rows, move |id| {
                    let pool = pool.clone();
                    async move { ours::insert(&pool, row(id)).await.unwrap() }
                }))
            }),
        ),
        (
            who("mpsc + oneshot + spawn, by hand", Kind::Peer),
            1,
            Box::new(move |pool, rows| {
                Box::pin(async move {
                    let (sender, receiver) = mpsc::unbounded_channel();
                    tokio::spawn(collect(receiver, pool));
                    callers(at_a_time, rows, move |id| {
                        let (answer, answered) = oneshot::channel();
                        sender.send((row(id), answer)).unwrap();
                        async { answered.await.unwrap() }
                    })
                    .await;
                })
            }),
        ),
        (
            who("one INSERT each", Kind::Bound),
            10,
            Box::new(move |pool, rows| {
                Box::pin(callers(at_a_time, rows, move |id| {
                    let pool = pool.clone();
                    async move {
                        let (id, name) = row(id);
                        sqlx::query("INSERT INTO piggyback_bench (id, name) VALUES ($1, $2)")
                            .bind(id)
                            .bind(name)
                            .execute(&pool)
                            .await
                            .unwrap();
                    }
                }))
            }),
        ),
        (
            who(AS_MANY, Kind::Bound),
            1,
            Box::new(move |pool, rows| Box::pin(lists(pool, rows, as_many))),
        ),
    ];
    // Otherwise the callers fill them all.
    if as_many < u64::from(CONNECTIONS) {
        contenders.push((
            who("ready-made lists of 100, one a connection", Kind::Bound),
            1,
            Box::new(|pool, rows| Box::pin(lists(pool, rows, u64::from(CONNECTIONS)))),
        ));
    }
    contenders
}

fn row(id: u64) -> (i64, String) {
    (id as i64, format!("name of {id}"))
}

/// So many callers, each inserting one row after another. Their ids rise together, as those of a sequence do: where
/// a list's are next to each other, and a batch's all over the table, the index would be what is measured.
async fn callers<F>(at_a_time: u64, rows: u64, insert: impl Fn(u64) -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send,
{
    let insert = Arc::new(insert);
    let rows = rows / at_a_time * at_a_time;
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..at_a_time {
        let insert = insert.clone();
        tasks.spawn(async move {
            for id in (caller..rows).step_by(at_a_time as usize) {
                insert(id).await;
            }
        });
    }
    tasks.join_all().await;
}

/// Lists that need no collecting, so many at a time.
async fn lists(pool: PgPool, rows: u64, at_a_time: u64) {
    let lists = rows / SIZE as u64;
    let mut tasks = tokio::task::JoinSet::new();
    for inserter in 0..at_a_time {
        let pool = pool.clone();
        tasks.spawn(async move {
            for list in (inserter..lists).step_by(at_a_time as usize) {
                let first = list * SIZE as u64;
                let rows = (first..first + SIZE as u64).map(row).collect();
                ours::insert_all(&pool, rows).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
}

type Pending = ((i64, String), oneshot::Sender<()>);

async fn collect(mut receiver: mpsc::UnboundedReceiver<Pending>, pool: PgPool) {
    let mut batch = Vec::with_capacity(SIZE);
    while receiver.recv_many(&mut batch, SIZE).await > 0 {
        let delay = tokio::time::sleep(std::time::Duration::from_millis(DELAY_MS));
        let mut delay = std::pin::pin!(delay);
        while batch.len() < SIZE {
            let missing = SIZE - batch.len();
            tokio::select! {
                biased;
                came = receiver.recv_many(&mut batch, missing) => if came == 0 { break },
                () = &mut delay => break,
            }
        }
        let full = std::mem::replace(&mut batch, Vec::with_capacity(SIZE));
        let pool = pool.clone();
        tokio::spawn(async move {
            let (rows, callers): (Vec<_>, Vec<_>) = full.into_iter().unzip();
            ours::insert_all(&pool, rows).await.unwrap();
            for caller in callers {
                let _ = caller.send(());
            }
        });
    }
}
