//! SQLite, set up as one would for a service: write-ahead log, one connection that writes, and a
//! few that read meanwhile. Every commit is flushed to the disk (`synchronous = FULL`).

use std::{sync::Arc, thread::available_parallelism};

use sqlx::{
    QueryBuilder, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tempfile::TempDir;

use super::{Seed, TIMELINE};
use crate::post::{NewPost, Post};

#[derive(Debug, Clone)]
pub(super) struct Sqlite {
    /// SQLite has one writer at a time. More connections would only wait for each other's lock, and
    /// less fairly than in the queue of a pool.
    writer: SqlitePool,
    /// A query keeps a core busy while it runs: more readers than cores would not make it faster.
    readers: SqlitePool,
    folder: Arc<TempDir>,
}

const TABLES: &str = "
    CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE follows (
        follower INTEGER NOT NULL,
        followed INTEGER NOT NULL,
        PRIMARY KEY (follower, followed)
    ) WITHOUT ROWID;
    CREATE TABLE posts (
        id INTEGER PRIMARY KEY,
        author INTEGER NOT NULL REFERENCES people,
        text TEXT NOT NULL,
        created INTEGER NOT NULL DEFAULT (unixepoch()),
        ticket INTEGER
    );
    CREATE INDEX posts_by_author ON posts (author);
";

impl Sqlite {
    pub(super) async fn create() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("piggyback-traffic-")
            .tempdir()?;
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("traffic.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", "-65536"); // 64 MiB: the whole database
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        sqlx::raw_sql(TABLES).execute(&writer).await?;

        let cores = available_parallelism().map_or(2, usize::from) as u32;
        let readers = SqlitePoolOptions::new()
            .min_connections(cores)
            .max_connections(cores)
            .connect_with(options.read_only(true))
            .await?;
        let folder = Arc::new(folder);
        Ok(Self {
            writer,
            readers,
            folder,
        })
    }

    pub(super) async fn seed(&self, seed: &Seed) -> sqlx::Result<()> {
        // As many as keep below SQLite's limit of 32,766 parameters.
        const CHUNK: usize = 10_000;

        let mut transaction = self.writer.begin().await?;
        for names in seed.people.chunks(CHUNK) {
            QueryBuilder::new("INSERT INTO people (name) ")
                .push_values(names, |mut row, name| {
                    row.push_bind(name);
                })
                .build()
                .execute(&mut *transaction)
                .await?;
        }
        for follows in seed.follows.chunks(CHUNK) {
            QueryBuilder::new("INSERT INTO follows (follower, followed) ")
                .push_values(follows, |mut row, (follower, followed)| {
                    row.push_bind(follower).push_bind(followed);
                })
                .build()
                .execute(&mut *transaction)
                .await?;
        }
        for posts in seed.posts.chunks(CHUNK) {
            QueryBuilder::new("INSERT INTO posts (author, text, created) ")
                .push_values(posts, |mut row, (author, text, created)| {
                    row.push_bind(author).push_bind(text).push_bind(created);
                })
                .build()
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        sqlx::raw_sql("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    pub(super) async fn newest_posts(&self, person: i64) -> sqlx::Result<Vec<Post>> {
        sqlx::query_as(
            "SELECT posts.id, people.name AS author, posts.text, posts.created
             FROM follows
             JOIN posts ON posts.author = follows.followed
             JOIN people ON people.id = posts.author
             WHERE follows.follower = ?
             ORDER BY posts.created DESC, posts.id DESC
             LIMIT ?",
        )
        .bind(person)
        .bind(TIMELINE)
        .fetch_all(&self.readers)
        .await
    }

    pub(super) async fn insert_posts(&self, posts: &[NewPost]) -> sqlx::Result<()> {
        QueryBuilder::new("INSERT INTO posts (author, text, ticket) ")
            .push_values(posts, |mut row, post| {
                row.push_bind(post.author)
                    .push_bind(&post.text)
                    .push_bind(post.ticket);
            })
            .build()
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    pub(super) async fn saved_posts(&self) -> sqlx::Result<Vec<NewPost>> {
        sqlx::query_as("SELECT author, text, ticket FROM posts WHERE ticket IS NOT NULL")
            .fetch_all(&self.readers)
            .await
    }

    pub(super) async fn day(&self) -> sqlx::Result<String> {
        sqlx::query_scalar("SELECT date()")
            .fetch_one(&self.readers)
            .await
    }

    pub(super) async fn describe(&self) -> sqlx::Result<String> {
        let version: String = sqlx::query_scalar("SELECT sqlite_version()")
            .fetch_one(&self.readers)
            .await?;
        let readers = self.readers.options().get_max_connections();
        Ok(format!(
            "SQLite {version} (WAL, synchronous = FULL; 1 writer, {readers} readers)"
        ))
    }

    pub(super) async fn remove(&self) -> sqlx::Result<()> {
        self.readers.close().await;
        self.writer.close().await;
        std::fs::remove_dir_all(self.folder.path())?;
        Ok(())
    }
}
