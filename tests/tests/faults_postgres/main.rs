//! PostgreSQL whose connections are cut, stall, or whose server is stopped in the middle of a bulk INSERT and of a shared
//! SELECT. Every caller gets an answer; what was acknowledged is in the table exactly once; and the next call works as
//! soon as the database does.
//!
//! Reads `DATABASE_URL`; without it, or without `initdb`, the tests that need it say so and pass.

mod cluster;
mod proxy;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cluster::Cluster;
use piggyback::{Scope, batch, dedup};
use proxy::Proxy;
use tokio::net::TcpStream;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

#[derive(Debug)]
#[allow(dead_code)]
enum DbError {
    Postgres(tokio_postgres::Error),
    Connect(std::io::Error),
    TimedOut,
    Shared(Arc<Self>),
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// A database, through a proxy.
#[derive(Clone)]
struct Db {
    address: SocketAddr,
    config: Config,
    /// A table of this test's own.
    table: String,
    /// The time that a statement may take.
    patience: Duration,
    scope: Scope,
    executions: Arc<AtomicUsize>,
}

impl Db {
    async fn client(&self) -> Result<Client, DbError> {
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(DbError::Connect)?;
        let (client, connection) = self.config.connect_raw(stream, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A statement, as a service runs it: connected anew, and not waited for without end.
    async fn statement<T>(
        &self,
        statement: impl AsyncFnOnce(Client) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.executions.fetch_add(1, SeqCst);
        let all = async { statement(self.client().await?).await };
        let result = tokio::time::timeout(self.patience, all).await;
        result.unwrap_or(Err(DbError::TimedOut))
    }
}

/// Takes long enough to be interrupted.
#[batch(size = 10, delay_ms = 20, skip(db), scope = db.scope, share_err = DbError::Shared)]
async fn save(db: &Db, ids: &[i64]) -> Result<(), DbError> {
    db.statement(async |client| {
        let insert = format!(
            "WITH slow AS MATERIALIZED (SELECT pg_sleep(0.3))
             INSERT INTO {} SELECT id FROM unnest($1::bigint[]) id, slow",
            db.table
        );
        let rows = client.execute(&insert, &[&ids]).await?;
        assert_eq!(rows as usize, ids.len());
        Ok(())
    })
    .await
}

#[dedup(skip(db), scope = db.scope, share_err = DbError::Shared)]
async fn count(db: &Db, above: i64) -> Result<i64, DbError> {
    db.statement(async |client| {
        let select = format!(
            "WITH slow AS MATERIALIZED (SELECT pg_sleep(0.3))
             SELECT count(*) FROM {}, slow WHERE id > $1",
            db.table
        );
        Ok(client.query_one(&select, &[&above]).await?.get(0))
    })
    .await
}

/// The fixture of a test.
struct Stage {
    db: Db,
    proxy: Arc<Proxy>,
    /// Straight to the server.
    direct: Db,
    next: AtomicI64,
    acknowledged: Vec<i64>,
}

impl Stage {
    async fn set(config: Config, table: &str) -> Self {
        let server = match (&config.get_hosts()[0], config.get_ports().first()) {
            (Host::Tcp(host), port) => (host.clone(), port.copied().unwrap_or(5432)),
            (host, _) => panic!("not a TCP address: {host:?}"),
        };
        let straight = tokio::net::lookup_host(server.clone())
            .await
            .unwrap()
            .next()
            .unwrap();
        let proxy = Proxy::of(server).await;
        let db = Db {
            address: proxy.address,
            config,
            table: format!("piggyback_faults_{table}_{}", std::process::id()),
            patience: Duration::from_secs(2),
            scope: Scope::new(),
            executions: Arc::default(),
        };
        let direct = Db {
            address: straight,
            ..db.clone()
        };
        let stage = Self {
            db,
            proxy,
            direct,
            next: AtomicI64::new(0),
            acknowledged: Vec::new(),
        };
        // No unique index: an item that is written twice is there twice.
        stage.run("DROP TABLE IF EXISTS", "").await;
        stage.run("CREATE TABLE", "(id bigint)").await;
        stage
    }

    async fn run(&self, before: &str, after: &str) {
        let client = self.direct.client().await.unwrap();
        let statement = format!("{before} {} {after}", self.direct.table);
        client.batch_execute(&statement).await.unwrap();
    }

    /// Waits until this many slow statements are running.
    async fn until_running(&self, statements: i64) {
        let client = self.direct.client().await.unwrap();
        let running = "SELECT count(*) FROM pg_stat_activity
                       WHERE query LIKE '%slow%' || $1 || '%' AND state = 'active' AND wait_event = 'PgSleep'";
        for _ in 0..200 {
            let row = client.query_one(running, &[&self.db.table]).await.unwrap();
            if row.get::<_, i64>(0) >= statements {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{statements} statements never ran");
    }

    /// Twenty callers save an item each, in two batches, and something happens meanwhile. Returns how many were told that
    /// it is saved.
    async fn save_during(&mut self, event: impl AsyncFnOnce(&Self)) -> usize {
        let ids: Vec<i64> = (0..20).map(|_| self.next.fetch_add(1, SeqCst)).collect();
        let callers = ids.iter().map(|&id| {
            let db = self.db.clone();
            async move { (id, save(&db, id).await) }
        });
        let answers = all(callers, event(self)).await;
        let before = self.acknowledged.len();
        let saved = answers.into_iter().filter(|(_, answer)| answer.is_ok());
        self.acknowledged.extend(saved.map(|(id, _)| id));
        self.acknowledged.len() - before
    }

    /// Twenty callers share a SELECT, and something happens meanwhile. Returns how many got a value, and how many
    /// executions there were.
    async fn count_during(&mut self, event: impl AsyncFnOnce(&Self)) -> (usize, usize) {
        let before = self.db.executions.load(SeqCst);
        let callers = (0..20).map(|_| {
            let db = self.db.clone();
            async move { count(&db, -1).await }
        });
        let answers = all(callers, event(self)).await;
        let executions = self.db.executions.load(SeqCst) - before;
        let values = answers.iter().filter(|answer| answer.is_ok()).count();
        (values, executions)
    }

    /// The next calls work, and what was acknowledged is there, once.
    async fn works_again(&mut self) {
        assert_eq!(self.save_during(async |_| ()).await, 20);
        assert_eq!(self.count_during(async |_| ()).await, (20, 1));
        let client = self.direct.client().await.unwrap();
        let select = format!("SELECT id, count(*) FROM {} GROUP BY id", self.db.table);
        let rows = client.query(&select, &[]).await.unwrap();
        let times: std::collections::HashMap<i64, i64> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert!(times.values().all(|&times| times == 1), "twice: {times:?}");
        let lost = self.acknowledged.iter().find(|id| !times.contains_key(id));
        assert_eq!(lost, None, "acknowledged, and not there");
        for row in self.db.scope.stats().rows {
            assert_eq!((row.in_flight, row.waiting), (0, 0), "{row:?}");
        }
    }
}

/// Runs all callers at the same time, and the event beside them. Each has to have an answer.
async fn all<T: Send + 'static>(
    callers: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
    event: impl Future<Output = ()>,
) -> Vec<T> {
    let callers: Vec<_> = callers.map(tokio::spawn).collect();
    event.await;
    let mut answers = Vec::new();
    for caller in callers {
        let answer = tokio::time::timeout(Duration::from_secs(20), caller).await;
        answers.push(answer.expect("every caller gets an answer").unwrap());
    }
    answers
}

/// The database that there is; says so if there is none.
fn database() -> Option<Config> {
    let Ok(url) = std::env::var("DATABASE_URL") else {
        piggyback_tests::skipped("DATABASE_URL is not set");
        return None;
    };
    let config: Config = url.parse().expect("DATABASE_URL is a PostgreSQL URL");
    if !matches!(config.get_hosts().first(), Some(Host::Tcp(_))) {
        piggyback_tests::skipped("DATABASE_URL names no TCP address");
        return None;
    }
    Some(config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut() {
    let Some(config) = database() else { return };
    let mut stage = Stage::set(config, "cut").await;
    stage.works_again().await;
    let saved = stage
        .save_during(async |stage| {
            stage.until_running(2).await;
            stage.proxy.cut();
        })
        .await;
    assert_eq!(saved, 0);
    let (values, executions) = stage
        .count_during(async |stage| {
            stage.until_running(1).await;
            stage.proxy.cut();
        })
        .await;
    assert_eq!((values, executions), (0, 1), "one error, shared");
    stage.works_again().await;
    stage.run("DROP TABLE", "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_stall() {
    let Some(config) = database() else { return };
    let mut stage = Stage::set(config, "stall").await;
    // For a while: it takes longer, and is still one execution.
    let for_a_while = async |stage: &Stage| {
        stage.until_running(1).await;
        stage.proxy.stall();
        tokio::time::sleep(Duration::from_millis(800)).await;
        stage.proxy.pass();
    };
    assert_eq!(stage.save_during(for_a_while).await, 20);
    assert_eq!(stage.count_during(for_a_while).await, (20, 1));
    // For longer than anybody waits.
    let for_long = async |stage: &Stage| {
        stage.until_running(1).await;
        stage.proxy.stall();
        tokio::time::sleep(Duration::from_millis(2500)).await;
        stage.proxy.pass();
    };
    assert_eq!(stage.save_during(for_long).await, 0);
    assert_eq!(stage.count_during(for_long).await, (0, 1));
    stage.works_again().await;
    stage.run("DROP TABLE", "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped() {
    let cluster = match Cluster::new() {
        Ok(cluster) => cluster,
        Err(why) => {
            piggyback_tests::skipped(&format!("no cluster of our own: {why}"));
            return;
        }
    };
    let mut config = Config::new();
    config.host("127.0.0.1").port(cluster.port);
    config.user("postgres").dbname("postgres");
    let mut stage = Stage::set(config, "stopped").await;
    for how in ["fast", "immediate"] {
        let stopped = async |stage: &Stage| {
            stage.until_running(1).await;
            cluster.stop(how).unwrap();
        };
        assert_eq!(stage.save_during(stopped).await, 0, "{how}");
        // While it is down, calls fail, and each gets to know.
        assert_eq!(stage.save_during(async |_| ()).await, 0);
        assert_eq!(stage.count_during(async |_| ()).await.0, 0);
        cluster.start().unwrap();
        assert_eq!(stage.count_during(stopped).await, (0, 1), "{how}");
        cluster.start().unwrap();
        stage.works_again().await;
    }
}
