//! A web service with axum, sqlx and SQLite.
//!
//! ```sh
//! cargo run -p piggyback-services --features axum --bin axum_service
//! ```
//!
//! - `GET /users/{id}`: requests for one user that overlap share one query. An unknown user is a 404, shared or not.
//! - `GET /reports/{year}`: the handler itself is shared, with its extractors as patterns.
//! - `POST /events`: events go into the database in bulk. Beyond a queue of 1,000 events, requests get a 503.
//! - `GET /stats`, `GET /metrics`: what was shared, for people and for Prometheus.
//! - Ctrl-C: requests in flight are answered, and batches that wait for their delay run at once.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use piggyback::{Scope, batch, dedup};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{FromRow, QueryBuilder, SqlitePool};
use tokio::net::TcpListener;
use tokio::sync::watch;

#[derive(Clone)]
struct App {
    pool: SqlitePool,
    metrics: PrometheusHandle,
    /// Every `App` of a test has flights and batches of its own.
    scope: Scope,
    /// How many events may wait for the database.
    max_waiting: usize,
    /// How long an event waits for others.
    delay_ms: u64,
}

impl App {
    async fn new(pool: SqlitePool, metrics: PrometheusHandle) -> sqlx::Result<Self> {
        sqlx::raw_sql(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
             CREATE TABLE events (name TEXT NOT NULL, year INTEGER NOT NULL);
             INSERT INTO users VALUES (7, 'Ada');",
        )
        .execute(&pool)
        .await?;
        Ok(Self {
            pool,
            metrics,
            scope: Scope::new(),
            max_waiting: 1_000,
            delay_ms: 50,
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("there is no such user")]
    NotFound,
    #[error("too many events are waiting, try again later")]
    Busy,
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The error of an execution that several requests share.
    #[error(transparent)]
    Shared(Arc<AppError>),
}

impl AppError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
            // Without this, a 404 becomes a 500 as soon as two requests ask at once.
            Self::Shared(error) => error.status(),
        }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        (self.status(), self.to_string()).into_response()
    }
}

#[derive(Clone, Debug, FromRow, Serialize)]
struct User {
    id: i64,
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Event {
    name: String,
    year: i32,
}

#[derive(Clone, Debug, FromRow, Serialize)]
struct Report {
    year: i32,
    events: i64,
}

#[dedup(scope = app.scope, share_err = AppError::Shared, name = "users.find")]
async fn find_user(app: &App, id: i64) -> Result<User, AppError> {
    sqlx::query_as("SELECT id, name FROM users WHERE id = ?")
        .bind(id)
        .fetch_optional(&app.pool)
        .await?
        .ok_or(AppError::NotFound)
}

/// One bulk call at a time, since SQLite has one writer at a time.
#[batch(
    size = 500,
    delay_ms = app.delay_ms,
    concurrency = 1,
    max_waiting = app.max_waiting,
    busy = AppError::Busy,
    share_err = AppError::Shared,
    scope = app.scope,
    name = "events.save"
)]
async fn save_event(app: &App, events: &[Event]) -> Result<(), AppError> {
    QueryBuilder::new("INSERT INTO events (name, year) ")
        .push_values(events, |mut row, event| {
            row.push_bind(&event.name).push_bind(event.year);
        })
        .build()
        .execute(&app.pool)
        .await?;
    Ok(())
}

async fn get_user(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<User>, AppError> {
    Ok(Json(find_user(&app, id).await?))
}

/// A handler can be shared if all of its arguments are in the key, or left out of it. The names that the patterns bind are the
/// arguments: here, `year` is the key. With `spawn`, a client that disconnects does not
/// make another one start anew.
#[dedup(spawn, scope = app.scope, share_err = AppError::Shared, name = "reports")]
async fn get_report(
    State(app): State<App>,
    Path(year): Path<i32>,
) -> Result<Json<Report>, AppError> {
    let report = sqlx::query_as("SELECT ? AS year, count(*) AS events FROM events WHERE year = ?")
        .bind(year)
        .bind(year)
        .fetch_one(&app.pool)
        .await?;
    Ok(Json(report))
}

async fn post_event(
    State(app): State<App>,
    Json(event): Json<Event>,
) -> Result<StatusCode, AppError> {
    save_event(&app, event).await?;
    Ok(StatusCode::CREATED)
}

fn routes(app: App) -> Router {
    Router::new()
        .route("/users/{id}", get(get_user))
        .route("/reports/{year}", get(get_report))
        .route("/events", post(post_event))
        .route("/stats", get(|| async { Scope::stats_all().to_string() }))
        .route(
            "/metrics",
            get(|State(app): State<App>| async move { app.metrics.render() }),
        )
        .with_state(app)
}

/// Serves until `stop`, and then until all requests in flight are answered.
async fn serve(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (stopping, mut stopped) = watch::channel(false);
    let server = axum::serve(listener, routes(app)).with_graceful_shutdown(async move {
        stop.await;
        let _ = stopping.send(true);
    });
    // The server waits for its requests, and some of these wait for the delay of a batch: run those batches now.
    let flush = async {
        let _ = stopped.wait_for(|stopped| *stopped).await;
        Scope::flush_all().await;
    };
    let (served, ()) = tokio::join!(server, flush);
    // What was started beside requests.
    Scope::flush_all().await;
    served
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before the first call: nothing is counted without a recorder.
    let metrics = PrometheusBuilder::new().install_recorder()?;
    // Each connection to `:memory:` has a database of its own, so there is one.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await?;
    let app = App::new(pool, metrics).await?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 3000))).await?;
    let address = listener.local_addr()?;
    println!("curl {address}/users/7");
    println!(
        "curl {address}/events -H 'content-type: application/json' -d '{{\"name\": \"login\", \"year\": 2026}}'"
    );
    println!("curl {address}/reports/2026 {address}/stats {address}/metrics");
    // The server drops its `App` at the end, and a scope that was dropped has no stats.
    let scope = app.scope.clone();
    serve(listener, app, async {
        let _ = tokio::signal::ctrl_c().await;
    })
    .await?;
    print!("{}", scope.stats());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;
    use std::time::Duration;

    use piggyback::{Kind, Row};
    use piggyback_services::http;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio::time::sleep;

    use super::*;

    struct Server {
        app: App,
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        task: JoinHandle<std::io::Result<()>>,
    }

    impl Server {
        async fn start(pool: SqlitePool, change: impl FnOnce(&mut App)) -> Self {
            // One per process.
            static METRICS: LazyLock<PrometheusHandle> =
                LazyLock::new(|| PrometheusBuilder::new().install_recorder().unwrap());
            let mut app = App::new(pool, METRICS.clone()).await.unwrap();
            change(&mut app);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (stop, stopped) = oneshot::channel();
            let task = tokio::spawn(serve(listener, app.clone(), async {
                let _ = stopped.await;
            }));
            Self {
                app,
                address,
                stop,
                task,
            }
        }

        fn row(&self, function: &str) -> Option<Row> {
            let rows = self.app.scope.stats().rows;
            rows.into_iter().find(|row| row.function == function)
        }

        /// Waits until the counts of a function are so.
        async fn until(&self, function: &str, is_so: impl Fn(&Row) -> bool) {
            while !self.row(function).is_some_and(|row| is_so(&row)) {
                sleep(Duration::from_millis(1)).await;
            }
        }

        fn get(&self, path: &str) -> JoinHandle<(u16, String)> {
            let (address, get) = (self.address, format!("GET {path}"));
            tokio::spawn(async move { http(address, &get, "").await.unwrap() })
        }

        fn post_event(&self) -> JoinHandle<(u16, String)> {
            let address = self.address;
            tokio::spawn(async move {
                let event = r#"{"name": "login", "year": 2026}"#;
                http(address, "POST /events", event).await.unwrap()
            })
        }
    }

    #[sqlx::test]
    async fn requests_for_one_user_share_a_query_and_its_404(pool: SqlitePool) {
        let server = Server::start(pool, |_| ()).await;
        for (path, expected) in [
            ("/users/7", (200, r#"{"id":7,"name":"Ada"}"#)),
            ("/users/8", (404, "there is no such user")),
        ] {
            let before = server.row("users.find").map_or(0, |row| row.executions);
            // Queries wait until all requests are there.
            let blocker = server.app.pool.begin_with("BEGIN EXCLUSIVE").await.unwrap();
            let requests: Vec<_> = (0..20).map(|_| server.get(path)).collect();
            server
                .until("users.find", |row| row.in_flight == 1 && row.waiting == 19)
                .await;
            blocker.rollback().await.unwrap();
            for request in requests {
                let (status, body) = request.await.unwrap();
                assert_eq!((status, &*body), expected);
            }
            let after = server.row("users.find").unwrap().executions;
            assert_eq!(after - before, 1);
        }
        let (_, stats) = server.get("/stats").await.unwrap();
        assert!(stats.contains("users.find"), "{stats}");
        let (_, metrics) = server.get("/metrics").await.unwrap();
        let calls = r#"piggyback_calls_total{function="users.find",kind="dedup"} 40"#;
        assert!(metrics.contains(calls), "{metrics}");
    }

    #[sqlx::test]
    async fn requests_beyond_the_queue_get_a_503(pool: SqlitePool) {
        let server = Server::start(pool, |app| {
            app.max_waiting = 2;
            app.delay_ms = 0;
        })
        .await;
        // Somebody else writes, so the bulk call waits.
        let mut writer = server.app.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        sqlx::query("INSERT INTO events VALUES ('other', 2026)")
            .execute(&mut *writer)
            .await
            .unwrap();
        let mut posts = vec![server.post_event()];
        server.until("events.save", |row| row.in_flight == 1).await;
        posts.extend([server.post_event(), server.post_event()]);
        server.until("events.save", |row| row.calls == 3).await;
        let (status, body) = server.post_event().await.unwrap();
        assert_eq!(
            (status, &*body),
            (503, "too many events are waiting, try again later")
        );
        writer.commit().await.unwrap();
        for post in posts {
            assert_eq!(post.await.unwrap().0, 201);
        }
        let report = server.get("/reports/2026").await.unwrap();
        assert_eq!(report, (200, r#"{"year":2026,"events":4}"#.to_owned()));
    }

    #[sqlx::test]
    async fn a_shutdown_answers_requests_that_wait_for_their_batch(pool: SqlitePool) {
        // Long enough that this test would be seen to hang.
        let server = Server::start(pool, |app| app.delay_ms = 600_000).await;
        let posts = [server.post_event(), server.post_event()];
        server.until("events.save", |row| row.calls == 2).await;
        server.stop.send(()).unwrap();
        for post in posts {
            assert_eq!(post.await.unwrap().0, 201);
        }
        server.task.await.unwrap().unwrap();
        let row = &server.app.scope.stats().rows[0];
        assert!(matches!(&row.kind, Kind::Batch { closed, .. } if closed.flush == 1));
        let saved: i64 = sqlx::query_scalar("SELECT count(*) FROM events")
            .fetch_one(&server.app.pool)
            .await
            .unwrap();
        assert_eq!(saved, 2);
    }
}
