//! GraphQL with async-graphql, sqlx and SQLite: a query that asks for the authors of many posts makes a statement per post, or
//! one in all.
//!
//! ```sh
//! cargo run -p piggyback-services --features graphql --bin graphql
//! ```
//!
//! The loaders are functions. They get what belongs to a request from a small struct in the request's data, with a `Scope` of
//! its own: requests of two users never share a query.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use async_graphql::{
    ComplexObject, Context, EmptyMutation, EmptySubscription, Object, Request, Schema, SimpleObject,
};
use piggyback::{Scope, batch, dedup};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{FromRow, QueryBuilder, SqlitePool};

#[derive(Clone, Debug)]
struct Db {
    pool: SqlitePool,
    statements: Arc<AtomicUsize>,
}

impl Db {
    async fn create() -> sqlx::Result<Self> {
        // Each connection to `:memory:` has a database of its own, so there is one.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect("sqlite::memory:")
            .await?;
        sqlx::raw_sql(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
             CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER NOT NULL, text TEXT NOT NULL);
             WITH RECURSIVE n(id) AS (VALUES (1) UNION ALL SELECT id + 1 FROM n WHERE id < 10)
                INSERT INTO users SELECT id, 'user ' || id FROM n;
             WITH RECURSIVE n(id) AS (VALUES (1) UNION ALL SELECT id + 1 FROM n WHERE id < 100)
                INSERT INTO posts SELECT id, 1 + id % 10, 'post ' || id FROM n;",
        )
        .execute(&pool)
        .await?;
        Ok(Self {
            pool,
            statements: Arc::default(),
        })
    }

    async fn users(&self, ids: &[i64]) -> sqlx::Result<Vec<User>> {
        self.statements.fetch_add(1, Relaxed);
        let mut query = QueryBuilder::new("SELECT id, name FROM users WHERE id IN ");
        query.push_tuples(ids, |mut row, id| {
            row.push_bind(id);
        });
        query.build_query_as().fetch_all(&self.pool).await
    }

    async fn posts_of(&self, authors: &[i64]) -> sqlx::Result<Vec<Post>> {
        self.statements.fetch_add(1, Relaxed);
        let mut query = QueryBuilder::new("SELECT id, author, text FROM posts WHERE author IN ");
        query.push_tuples(authors, |mut row, author| {
            row.push_bind(author);
        });
        query.push(" ORDER BY id");
        query.build_query_as().fetch_all(&self.pool).await
    }

    async fn all_posts(&self) -> sqlx::Result<Vec<Post>> {
        self.statements.fetch_add(1, Relaxed);
        sqlx::query_as("SELECT id, author, text FROM posts ORDER BY id")
            .fetch_all(&self.pool)
            .await
    }
}

/// What a request has: the database, and a scope in which its loads meet. A viewer, or a transaction, would be here, too.
#[derive(Clone, Debug)]
struct Loads {
    db: Db,
    scope: Scope,
    /// How long a load waits for others.
    delay_ms: u64,
    /// For the comparison: without loaders.
    plain: bool,
}

type Result<T, E = Arc<sqlx::Error>> = std::result::Result<T, E>;

impl Loads {
    fn new(db: &Db) -> Self {
        Self {
            db: db.clone(),
            scope: Scope::new(),
            // Long enough for tests on a busy machine.
            delay_ms: if cfg!(test) { 100 } else { 1 },
            plain: false,
        }
    }

    /// Equal ids share a place in the list, and ids that come within `delay_ms` share a statement.
    #[dedup(scope = self.scope)]
    #[batch(size = 100, delay_ms = self.delay_ms, one_by = |user| user.id)]
    async fn user(&self, ids: &[i64]) -> Result<Vec<User>> {
        Ok(self.db.users(ids).await?)
    }

    /// One to many: each caller gets its rows. `posts_of_all` takes a list of authors, which join the batch together.
    #[batch(size = 100, delay_ms = self.delay_ms, scope = self.scope, many_by = |post| post.author, many = posts_of_all)]
    async fn posts(&self, authors: &[i64]) -> Result<Vec<Post>> {
        Ok(self.db.posts_of(authors).await?)
    }
}

#[derive(Clone, Debug, FromRow, SimpleObject)]
#[graphql(complex)]
struct Post {
    id: i64,
    #[graphql(skip)]
    author: i64,
    text: String,
}

#[ComplexObject]
impl Post {
    async fn author(&self, context: &Context<'_>) -> async_graphql::Result<Option<User>> {
        let loads = context.data::<Loads>()?;
        if loads.plain {
            return Ok(loads.db.users(&[self.author]).await?.pop());
        }
        Ok(loads.user(self.author).await?)
    }
}

#[derive(Clone, Debug, FromRow, SimpleObject)]
#[graphql(complex)]
struct User {
    id: i64,
    name: String,
}

#[ComplexObject]
impl User {
    async fn posts(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Post>> {
        let loads = context.data::<Loads>()?;
        if loads.plain {
            return Ok(loads.db.posts_of(&[self.id]).await?);
        }
        Ok(loads.posts(self.id).await?)
    }
}

#[derive(Debug)]
struct Query;

#[Object]
impl Query {
    async fn posts(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Post>> {
        Ok(context.data::<Loads>()?.db.all_posts().await?)
    }

    async fn user(&self, context: &Context<'_>, id: i64) -> async_graphql::Result<Option<User>> {
        Ok(context.data::<Loads>()?.user(id).await?)
    }

    /// The posts of some authors, those of one after those of another.
    async fn feed(
        &self,
        context: &Context<'_>,
        authors: Vec<i64>,
    ) -> async_graphql::Result<Vec<Post>> {
        let loads = context.data::<Loads>()?;
        let mut feed = Vec::new();
        for posts in loads.posts_of_all(authors).await {
            feed.extend(posts?);
        }
        Ok(feed)
    }
}

type Blog = Schema<Query, EmptyMutation, EmptySubscription>;

fn blog() -> Blog {
    Schema::new(Query, EmptyMutation, EmptySubscription)
}

const AUTHORS: &str = "{ posts { text author { name } } }";
const NEIGHBOURS: &str = "{ posts { author { posts { text } } } }";

/// Runs a query, and returns its data and the number of statements it took.
async fn count(blog: &Blog, loads: Loads, query: &str) -> async_graphql::Result<(String, usize)> {
    let statements = loads.db.statements.clone();
    statements.store(0, Relaxed);
    let response = blog.execute(Request::new(query).data(loads)).await;
    match response.errors.into_iter().next() {
        Some(error) => Err(async_graphql::Error::new(error.message)),
        None => Ok((response.data.to_string(), statements.load(Relaxed))),
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (db, blog) = (&Db::create().await?, blog());
    for query in [AUTHORS, NEIGHBOURS] {
        let plain = Loads {
            plain: true,
            ..Loads::new(db)
        };
        let (before, plain) = count(&blog, plain, query)
            .await
            .map_err(|error| error.message)?;
        let (after, loaded) = count(&blog, Loads::new(db), query)
            .await
            .map_err(|error| error.message)?;
        assert_eq!(before, after);
        println!("{query}: {plain} statements before, {loaded} after");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_statement_per_level_instead_of_one_per_row() {
        let (db, blog) = (&Db::create().await.unwrap(), blog());
        for (query, expected) in [(AUTHORS, (101, 2)), (NEIGHBOURS, (201, 3))] {
            let plain = Loads {
                plain: true,
                ..Loads::new(db)
            };
            let (before, plain) = count(&blog, plain, query).await.unwrap();
            let (after, loaded) = count(&blog, Loads::new(db), query).await.unwrap();
            assert_eq!(before, after);
            assert_eq!((plain, loaded), expected, "{query}");
        }
    }

    #[tokio::test]
    async fn a_list_and_single_loads_of_a_level_are_one_statement() {
        let (db, blog) = (&Db::create().await.unwrap(), blog());
        let query = "{ feed(authors: [3, 1, 3]) { text } again: feed(authors: [2]) { text } user(id: 2) { name } }";
        let (data, statements) = count(&blog, Loads::new(db), query).await.unwrap();
        // One for the posts of both lists, one for the user.
        assert_eq!(statements, 2);
        let of = |author: i64| {
            let ids = (1..=100).filter(move |id| 1 + id % 10 == author);
            ids.map(|id| format!(r#"{{text: "post {id}"}}"#))
        };
        let first: Vec<_> = of(3).chain(of(1)).chain(of(3)).collect();
        let again: Vec<_> = of(2).collect();
        // Fields come in the order in which they were resolved.
        for field in [
            format!("feed: [{}]", first.join(", ")),
            format!("again: [{}]", again.join(", ")),
            r#"user: {name: "user 2"}"#.to_owned(),
        ] {
            assert!(data.contains(&field), "{field} is not in {data}");
        }
    }

    #[tokio::test]
    async fn requests_do_not_share() {
        let (db, blog) = (&Db::create().await.unwrap(), blog());
        let query = "{ user(id: 1) { name } }";
        let (a, b) = tokio::join!(
            blog.execute(Request::new(query).data(Loads::new(db))),
            blog.execute(Request::new(query).data(Loads::new(db))),
        );
        assert_eq!(a.data, b.data);
        assert_eq!(db.statements.load(Relaxed), 2);
    }

    #[tokio::test]
    async fn a_failed_statement_is_an_error_of_every_field_that_asked() {
        let (db, blog) = (&Db::create().await.unwrap(), blog());
        sqlx::raw_sql("ALTER TABLE users RENAME TO gone")
            .execute(&db.pool)
            .await
            .unwrap();
        let response = blog
            .execute(Request::new(AUTHORS).data(Loads::new(db)))
            .await;
        assert_eq!(response.errors.len(), 100);
        assert!(
            response
                .errors
                .iter()
                .all(|error| error.message.contains("no such table"))
        );
    }
}
