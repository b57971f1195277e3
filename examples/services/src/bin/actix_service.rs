//! A web service with actix-web, sqlx and SQLite. Each worker of actix has a runtime of its own, and all of them share one
//! batch and one flight.
//!
//! ```sh
//! cargo run -p piggyback-services --features actix --bin actix_service
//! ```
//!
//! - `GET /players/{name}`: requests for one player that overlap share one query, whichever workers they are on.
//! - `POST /scores`: the scores that reach all workers go into one `INSERT`, and each request gets the rank of its score.
//! - Ctrl-C: actix answers the requests in flight, and batches that wait for their delay run at once.

use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use actix_web::{App, HttpResponse, HttpServer, ResponseError, get, post};
use piggyback::{Scope, batch, dedup};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{QueryBuilder, SqlitePool};

#[derive(Clone)]
struct Scores {
    pool: SqlitePool,
    scope: Scope,
    size: usize,
    delay_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Score {
    name: String,
    points: i64,
}

#[derive(Clone, Debug, Serialize)]
struct Player {
    name: String,
    best: i64,
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("there is no such player")]
    NotFound,
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Shared(Arc<AppError>),
}

impl ResponseError for AppError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Shared(error) => error.status_code(),
        }
    }
}

impl Scores {
    async fn new(pool: SqlitePool) -> sqlx::Result<Self> {
        sqlx::raw_sql("CREATE TABLE scores (name TEXT NOT NULL, points INTEGER NOT NULL)")
            .execute(&pool)
            .await?;
        Ok(Self {
            pool,
            scope: Scope::new(),
            size: 100,
            delay_ms: 20,
        })
    }

    #[dedup(scope = self.scope, share_err = AppError::Shared)]
    async fn player(&self, name: &str) -> Result<Player, AppError> {
        let best: Option<i64> = sqlx::query_scalar("SELECT max(points) FROM scores WHERE name = ?")
            .bind(name)
            .fetch_one(&self.pool)
            .await?;
        Ok(Player {
            name: name.to_owned(),
            best: best.ok_or(AppError::NotFound)?,
        })
    }

    /// Runs as a task on the runtime of the worker whose request opened the batch.
    #[batch(size = self.size, delay_ms = self.delay_ms, scope = self.scope, share_err = AppError::Shared)]
    async fn save(&self, scores: &[Score]) -> Result<Vec<i64>, AppError> {
        QueryBuilder::new("INSERT INTO scores (name, points) ")
            .push_values(scores, |mut row, score| {
                row.push_bind(&score.name).push_bind(score.points);
            })
            .build()
            .execute(&self.pool)
            .await?;
        let mut better = QueryBuilder::new("SELECT ");
        let mut columns = better.separated(", ");
        for score in scores {
            columns
                .push("(SELECT count(*) FROM scores WHERE points > ")
                .push_bind_unseparated(score.points)
                .push_unseparated(")");
        }
        let row = better.build().fetch_one(&self.pool).await?;
        (0..scores.len())
            .map(|at| Ok(1 + sqlx::Row::try_get::<i64, _>(&row, at)?))
            .collect()
    }
}

#[get("/players/{name}")]
async fn get_player(scores: Data<Scores>, name: Path<String>) -> Result<Json<Player>, AppError> {
    Ok(Json(scores.player(&name).await?))
}

#[post("/scores")]
async fn post_score(
    scores: Data<Scores>,
    Json(score): Json<Score>,
) -> Result<HttpResponse, AppError> {
    let rank = scores.save(score).await?;
    Ok(HttpResponse::Created()
        // Which worker served the request.
        .insert_header(("worker", format!("{:?}", std::thread::current().id())))
        .json(rank))
}

fn server(scores: Scores, workers: usize, port: u16) -> std::io::Result<(Server, u16)> {
    let scores = Data::new(scores);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(scores.clone())
            .service(get_player)
            .service(post_score)
    })
    .workers(workers)
    .bind(("127.0.0.1", port))?;
    let port = server.addrs()[0].port();
    Ok((server.disable_signals().run(), port))
}

/// Accepts no more connections, and runs the batches that wait for their delay, so that their requests are answered.
async fn finish(handle: &ServerHandle, scope: &Scope) {
    handle.pause().await;
    scope.flush().await;
}

/// `finish` comes first, since `stop` does not always wait for the requests in flight: a worker of actix-server 2.6 ends at once
/// if it sees that the accepting thread has gone before it sees that it should stop.
async fn stop(handle: ServerHandle, scope: &Scope) {
    finish(&handle, scope).await;
    let stopped = handle.stop(true);
    tokio::join!(stopped, scope.flush());
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await?;
    let scores = Scores::new(pool).await?;
    let (server, port) = server(scores.clone(), 4, 3001)?;
    println!(
        "curl 127.0.0.1:{port}/scores -H 'content-type: application/json' -d '{{\"name\": \"Ada\", \"points\": 42}}'"
    );
    println!("curl 127.0.0.1:{port}/players/Ada");
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);
    tokio::signal::ctrl_c().await?;
    stop(handle, &scores.scope).await;
    running.await??;
    print!("{}", scores.scope.stats());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::SocketAddr;
    use std::time::Duration;

    use piggyback::{Kind, Row};
    use piggyback_services::{http, http_with_headers};
    use tokio::time::sleep;

    use super::*;

    const WORKERS: usize = 4;

    async fn scores(change: impl FnOnce(&mut Scores)) -> Scores {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect("sqlite::memory:")
            .await
            .unwrap();
        let mut scores = Scores::new(pool).await.unwrap();
        change(&mut scores);
        scores
    }

    fn post(port: u16, points: usize) -> tokio::task::JoinHandle<(u16, String, String)> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        tokio::spawn(async move {
            let score = format!(r#"{{"name": "Ada", "points": {points}}}"#);
            http_with_headers(address, "POST /scores", &score)
                .await
                .unwrap()
        })
    }

    fn worker(headers: &str) -> Option<&str> {
        headers.lines().find(|line| line.starts_with("worker: "))
    }

    #[actix_web::test]
    async fn the_requests_of_several_workers_are_one_batch() {
        let count = 4 * WORKERS;
        // The batch runs when it is full, and not before.
        let scores = scores(|scores| {
            scores.size = count;
            scores.delay_ms = 600_000;
        })
        .await;
        let (server, port) = server(scores.clone(), WORKERS, 0).unwrap();
        let handle = server.handle();
        let running = actix_web::rt::spawn(server);

        let posts: Vec<_> = (0..count).map(|points| post(port, points)).collect();
        let mut workers = HashSet::new();
        for (points, post) in posts.into_iter().enumerate() {
            let (status, headers, rank) = post.await.unwrap();
            assert_eq!((status, rank), (201, (count - points).to_string()));
            workers.insert(worker(&headers).expect("it is set above").to_owned());
        }
        assert!(workers.len() > 1, "{workers:?}");
        let row = &scores.scope.stats().rows[0];
        assert_eq!((row.calls, row.executions), (count as u64, 1));

        stop(handle, &scores.scope).await;
        running.await.unwrap().unwrap();
    }

    #[actix_web::test]
    async fn a_shutdown_answers_requests_that_wait_for_their_batch() {
        let scores = scores(|scores| scores.delay_ms = 600_000).await;
        let (server, port) = server(scores.clone(), WORKERS, 0).unwrap();
        let handle = server.handle();
        let running = actix_web::rt::spawn(server);
        let posts = [post(port, 1), post(port, 2)];
        while scores
            .scope
            .stats()
            .rows
            .first()
            .is_none_or(|row| row.calls < 2)
        {
            sleep(Duration::from_millis(1)).await;
        }
        finish(&handle, &scores.scope).await;
        for post in posts {
            assert_eq!(post.await.unwrap().0, 201);
        }
        stop(handle, &scores.scope).await;
        running.await.unwrap().unwrap();
        let stats = scores.scope.stats();
        let flushed =
            |row: &Row| matches!(&row.kind, Kind::Batch { closed, .. } if closed.flush == 1);
        assert!(stats.rows.iter().any(flushed), "{stats}");
    }

    #[actix_web::test]
    async fn requests_for_one_player_share_a_query_and_its_404() {
        let scores = scores(|_| ()).await;
        let (server, port) = server(scores.clone(), WORKERS, 0).unwrap();
        let handle = server.handle();
        let running = actix_web::rt::spawn(server);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // The only connection: queries wait until all requests are there.
        let connection = scores.pool.acquire().await.unwrap();
        let gets: Vec<_> = (0..20)
            .map(|_| tokio::spawn(http(address, "GET /players/Bob", "")))
            .collect();
        while scores
            .scope
            .stats()
            .rows
            .first()
            .is_none_or(|row| row.waiting < 19)
        {
            sleep(Duration::from_millis(1)).await;
        }
        drop(connection);
        for get in gets {
            let (status, body) = get.await.unwrap().unwrap();
            assert_eq!((status, &*body), (404, "there is no such player"));
        }
        assert_eq!(scores.scope.stats().rows[0].executions, 1);
        stop(handle, &scores.scope).await;
        running.await.unwrap().unwrap();
    }
}
