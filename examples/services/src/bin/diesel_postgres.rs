//! PostgreSQL with diesel-async: a loader, a bulk insert and a bad row.
//!
//! ```sh
//! DATABASE_URL=postgres://postgres@127.0.0.1/test cargo run -p piggyback-services --features diesel --bin diesel_postgres
//! ```
//!
//! The functions take the pool. They take a connection from it when they run, and not before: a call that waited for its
//! batch with a connection in its hands would keep it from the bulk call.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, bb8};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};
use futures_util::future::{join_all, try_join_all};
use piggyback::{Scope, batch, dedup};
use schema::users;

mod schema {
    #![allow(missing_docs, reason = "the macro writes public items")]

    diesel::table! {
        piggyback_diesel.users (id) {
            id -> Int8,
            email -> Text,
            age -> Int4,
        }
    }
}

#[derive(Clone, Debug, Identifiable, Insertable, PartialEq, Queryable, Selectable)]
#[diesel(table_name = users)]
struct User {
    id: i64,
    email: String,
    age: i32,
}

/// Neither of the two is `Clone`, so `Shared` holds the error that several callers get.
#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("no connection: {0}")]
    Pool(#[from] bb8::RunError),
    #[error(transparent)]
    Shared(Arc<AppError>),
}

impl AppError {
    fn is_violation(&self) -> bool {
        use DatabaseErrorKind::{CheckViolation, UniqueViolation};
        match self {
            Self::Query(error) => matches!(
                error,
                QueryError::DatabaseError(CheckViolation | UniqueViolation, _)
            ),
            Self::Pool(_) => false,
            Self::Shared(error) => error.is_violation(),
        }
    }
}

type Result<T, E = AppError> = std::result::Result<T, E>;

#[derive(Clone, Debug)]
struct Db {
    pool: bb8::Pool<AsyncPgConnection>,
    scope: Scope,
}

impl Db {
    /// With empty tables, in a schema of this program's.
    async fn create(url: &str) -> Result<Self> {
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
        let pool = bb8::Pool::builder()
            .max_size(4)
            .build(manager)
            .await
            .map_err(bb8::RunError::User)?;
        pool.get()
            .await?
            .batch_execute(
                "DROP SCHEMA IF EXISTS piggyback_diesel CASCADE;
                 CREATE SCHEMA piggyback_diesel;
                 CREATE TABLE piggyback_diesel.users
                     (id int8 PRIMARY KEY, email text NOT NULL, age int4 NOT NULL CHECK (age >= 0));",
            )
            .await?;
        Ok(Self {
            pool,
            scope: Scope::new(),
        })
    }

    async fn count(&self) -> Result<i64> {
        let mut connection = self.pool.get().await?;
        Ok(users::table.count().get_result(&mut connection).await?)
    }

    /// Equal ids in flight share one place in a `SELECT … = ANY`. Both attributes are on one function, and it is enough to
    /// tell one of them about the scope and about errors.
    #[dedup]
    #[batch(size = 100, eager, scope = self.scope, one_by = |user| user.id, share_err = AppError::Shared)]
    async fn user(&self, ids: &[i64]) -> Result<Vec<User>> {
        let mut connection = self.pool.get().await?;
        Ok(users::table
            .filter(users::id.eq_any(ids))
            .select(User::as_select())
            .load(&mut connection)
            .await?)
    }

    /// After a constraint violation, and after that only, the halves are tried by themselves. A bulk insert of diesel has a
    /// parameter for each value, of which a statement of PostgreSQL has at most 65,535.
    #[batch(
        size = 1_000,
        eager,
        scope = self.scope,
        split_on_err = |error| error.is_violation(),
        share_err = AppError::Shared
    )]
    async fn insert(&self, users: &[User]) -> Result<()> {
        let mut connection = self.pool.get().await?;
        diesel::insert_into(users::table)
            .values(users)
            .execute(&mut connection)
            .await?;
        Ok(())
    }
}

fn new_user(id: i64) -> User {
    User {
        id,
        email: format!("user{id}@example.org"),
        age: 30,
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL=postgres://…")?;
    run(&url).await?;
    Ok(())
}

/// Saves 1,000 users and one bad one, reads them, and checks what the callers got and what the database has.
async fn run(url: &str) -> Result<()> {
    let db = &Db::create(url).await?;
    try_join_all((0..1_000).map(|id| db.insert(new_user(id)))).await?;
    let found = try_join_all((0..2_000).map(|n| db.user(n % 1_001))).await?;
    for (n, user) in (0..).zip(found) {
        let id = n % 1_001;
        assert_eq!(user, (id < 1_000).then(|| new_user(id)));
    }

    let results = join_all((1_000..1_064).map(|id| {
        let mut user = new_user(id);
        if id == 1_041 {
            user.age = -1;
        }
        db.insert(user)
    }))
    .await;
    for (id, result) in (1_000..).zip(results) {
        match result {
            Ok(()) => assert_ne!(id, 1_041),
            Err(error) => assert!(id == 1_041 && error.is_violation(), "{id}: {error}"),
        }
    }
    assert_eq!(db.count().await?, 1_063);
    print!("{}", db.scope.stats());

    // An error that is no row's fault reaches all callers at once, after one statement.
    db.pool
        .get()
        .await?
        .batch_execute("DROP SCHEMA piggyback_diesel CASCADE")
        .await?;
    let failed = join_all((0..64).map(|id| db.insert(new_user(id)))).await;
    let shared = failed.iter().filter(
        |result| matches!(result, Err(error @ AppError::Shared(_)) if !error.is_violation()),
    );
    // The first one may have had a statement of its own.
    assert!(shared.count() >= 63);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn callers_get_their_own_rows_and_errors() -> super::Result<()> {
        let Ok(url) = std::env::var("DATABASE_URL") else {
            println!("skipped: DATABASE_URL is not set");
            return Ok(());
        };
        super::run(&url).await
    }
}
