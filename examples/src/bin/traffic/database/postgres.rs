//! PostgreSQL, in a schema of its own.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Seed, TIMELINE};
use crate::post::{NewPost, Post};

#[derive(Debug, Clone)]
pub(super) struct Postgres {
    pool: PgPool,
    schema: String,
}

/// Transactions that commit at the same time share a flush to the disk: writers gain from more
/// connections than there are cores. Beyond about so many, neither writers nor readers do.
const CONNECTIONS: u32 = 32;

const TABLES: &str = "
    CREATE TABLE people (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL
    );
    CREATE TABLE follows (
        follower bigint NOT NULL,
        followed bigint NOT NULL,
        PRIMARY KEY (follower, followed)
    );
    CREATE TABLE posts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        author bigint NOT NULL REFERENCES people,
        text text NOT NULL,
        created bigint NOT NULL DEFAULT extract(epoch FROM now()),
        ticket bigint
    );
    CREATE INDEX posts_by_author ON posts (author);
";

impl Postgres {
    pub(super) async fn create(url: &PgConnectOptions) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let schema = format!("piggyback_traffic_{}", now.as_nanos());
        let explain = |error| anyhow!("can't use the database of --database-url: {error}");

        // By itself first: a pool would try again until its time is over, and not say why.
        let mut connection = PgConnection::connect_with(url).await.map_err(explain)?;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
            .execute(&mut connection)
            .await
            .map_err(explain)?;
        connection.close().await?;

        let pool = PgPoolOptions::new()
            .min_connections(CONNECTIONS)
            .max_connections(CONNECTIONS)
            .connect_lazy_with(url.clone().options([("search_path", &schema)]));
        sqlx::raw_sql(TABLES).execute(&pool).await?;
        Ok(Self { pool, schema })
    }

    pub(super) async fn seed(&self, seed: &Seed) -> sqlx::Result<()> {
        const CHUNK: usize = 50_000;

        let mut transaction = self.pool.begin().await?;
        sqlx::query("INSERT INTO people (name) SELECT * FROM UNNEST($1::text[])")
            .bind(&seed.people)
            .execute(&mut *transaction)
            .await?;
        for follows in seed.follows.chunks(CHUNK) {
            let (followers, followed): (Vec<_>, Vec<_>) = follows.iter().copied().unzip();
            sqlx::query("INSERT INTO follows SELECT * FROM UNNEST($1::bigint[], $2::bigint[])")
                .bind(followers)
                .bind(followed)
                .execute(&mut *transaction)
                .await?;
        }
        for posts in seed.posts.chunks(CHUNK) {
            let authors: Vec<i64> = posts.iter().map(|post| post.0).collect();
            let texts: Vec<&str> = posts.iter().map(|post| &*post.1).collect();
            let created: Vec<i64> = posts.iter().map(|post| post.2).collect();
            sqlx::query(
                "INSERT INTO posts (author, text, created)
                 SELECT * FROM UNNEST($1::bigint[], $2::text[], $3::bigint[])",
            )
            .bind(authors)
            .bind(texts)
            .bind(created)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        sqlx::raw_sql("VACUUM ANALYZE people, follows, posts")
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    pub(super) async fn newest_posts(&self, person: i64) -> sqlx::Result<Vec<Post>> {
        sqlx::query_as(
            "SELECT posts.id, people.name AS author, posts.text, posts.created
             FROM follows
             JOIN posts ON posts.author = follows.followed
             JOIN people ON people.id = posts.author
             WHERE follows.follower = $1
             ORDER BY posts.created DESC, posts.id DESC
             LIMIT $2",
        )
        .bind(person)
        .bind(TIMELINE)
        .fetch_all(&self.pool)
        .await
    }

    pub(super) async fn insert_posts(&self, posts: &[NewPost]) -> sqlx::Result<()> {
        let authors: Vec<i64> = posts.iter().map(|post| post.author).collect();
        let texts: Vec<&str> = posts.iter().map(|post| &*post.text).collect();
        let tickets: Vec<i64> = posts.iter().map(|post| post.ticket).collect();
        sqlx::query(
            "INSERT INTO posts (author, text, ticket)
             SELECT * FROM UNNEST($1::bigint[], $2::text[], $3::bigint[])",
        )
        .bind(authors)
        .bind(texts)
        .bind(tickets)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub(super) async fn saved_posts(&self) -> sqlx::Result<Vec<NewPost>> {
        sqlx::query_as("SELECT author, text, ticket FROM posts WHERE ticket IS NOT NULL")
            .fetch_all(&self.pool)
            .await
    }

    pub(super) async fn day(&self) -> sqlx::Result<String> {
        sqlx::query_scalar("SELECT current_date::text")
            .fetch_one(&self.pool)
            .await
    }

    pub(super) async fn describe(&self) -> sqlx::Result<String> {
        let version: String = sqlx::query_scalar("SHOW server_version")
            .fetch_one(&self.pool)
            .await?;
        let version = version.split(' ').next().unwrap_or_default();
        Ok(format!("PostgreSQL {version} ({CONNECTIONS} connections)"))
    }

    pub(super) async fn remove(&self) -> sqlx::Result<()> {
        let schema = &self.schema;
        sqlx::raw_sql(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE")))
            .execute(&self.pool)
            .await?;
        self.pool.close().await;
        Ok(())
    }
}
