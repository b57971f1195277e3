//! The database: people, their posts, and who follows whom, on SQLite or PostgreSQL.
//!
//! Every query of the service goes through [`Db`], which counts it on its way to the database. The
//! counts in the report come from here; nothing is taken from piggyback's own statistics.

mod postgres;
mod seed;
mod sqlite;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{
    options::Options,
    post::{NewPost, Post},
};
use postgres::Postgres;
use seed::Seed;
use sqlite::Sqlite;

pub(crate) use seed::{PEOPLE, POSTS};

/// How many posts a timeline shows.
const TIMELINE: i64 = 50;

#[derive(Debug, Clone)]
pub(crate) struct Db {
    engine: Engine,
    queries: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Db {
    /// An empty database with the tables in it.
    pub(crate) async fn create(options: &Options) -> anyhow::Result<Self> {
        let engine = match &options.database_url {
            Some(url) => Engine::Postgres(Postgres::create(url).await?),
            None => Engine::Sqlite(Sqlite::create().await?),
        };
        let queries = Arc::default();
        Ok(Self { engine, queries })
    }

    /// Fills the tables: the same people, posts and follows in every run. Says how many follows.
    pub(crate) async fn seed(&self) -> sqlx::Result<usize> {
        let seed = Seed::generate();
        match &self.engine {
            Engine::Sqlite(db) => db.seed(&seed).await?,
            Engine::Postgres(db) => db.seed(&seed).await?,
        }
        Ok(seed.follows.len())
    }

    /// The newest posts of those whom a person follows, the newest first.
    pub(crate) async fn newest_posts(&self, person: i64) -> sqlx::Result<Vec<Post>> {
        self.queries.fetch_add(1, Relaxed);
        match &self.engine {
            Engine::Sqlite(db) => db.newest_posts(person).await,
            Engine::Postgres(db) => db.newest_posts(person).await,
        }
    }

    /// Saves all these posts with one INSERT, or none of them.
    pub(crate) async fn insert_posts(&self, posts: &[NewPost]) -> sqlx::Result<()> {
        self.queries.fetch_add(1, Relaxed);
        match &self.engine {
            Engine::Sqlite(db) => db.insert_posts(posts).await,
            Engine::Postgres(db) => db.insert_posts(posts).await,
        }
    }

    /// How many queries the service has made.
    pub(crate) fn queries(&self) -> u64 {
        self.queries.load(Relaxed)
    }

    /// All posts that came through the service, for the checks.
    pub(crate) async fn saved_posts(&self) -> sqlx::Result<Vec<NewPost>> {
        match &self.engine {
            Engine::Sqlite(db) => db.saved_posts().await,
            Engine::Postgres(db) => db.saved_posts().await,
        }
    }

    /// Today, as the database has it.
    pub(crate) async fn day(&self) -> sqlx::Result<String> {
        match &self.engine {
            Engine::Sqlite(db) => db.day().await,
            Engine::Postgres(db) => db.day().await,
        }
    }

    /// What the database is, for the report.
    pub(crate) async fn describe(&self) -> sqlx::Result<String> {
        match &self.engine {
            Engine::Sqlite(db) => db.describe().await,
            Engine::Postgres(db) => db.describe().await,
        }
    }

    /// Leaves nothing behind.
    pub(crate) async fn remove(&self) -> sqlx::Result<()> {
        match &self.engine {
            Engine::Sqlite(db) => db.remove().await,
            Engine::Postgres(db) => db.remove().await,
        }
    }
}
