//! SQLite with sqlx, in a file: group commit, a loader, an upsert, and bad rows.
//!
//! ```sh
//! cargo run -p piggyback-services --features sqlite --bin sqlite
//! ```
//!
//! SQLite has one writer at a time, and every commit is flushed to the disk. So all writes go through one function, with
//! `concurrency = 1`: while one commit is flushed, the rows of the next one gather.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::try_join_all;
use piggyback::{Scope, batch, dedup};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{FromRow, QueryBuilder, SqlitePool};

#[derive(Clone, Debug)]
struct Db {
    pool: SqlitePool,
    scope: Scope,
}

impl Db {
    async fn create(pool: SqlitePool) -> Result<Self> {
        sqlx::raw_sql(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER NOT NULL CHECK (age >= 0));
             CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
        )
        .execute(&pool)
        .await?;
        Ok(Self {
            pool,
            scope: Scope::new(),
        })
    }
}

#[derive(Clone, Debug, FromRow, PartialEq)]
struct Person {
    id: i64,
    name: String,
    age: i64,
}

type Result<T, E = Arc<sqlx::Error>> = std::result::Result<T, E>;

/// A statement has at most 32,766 parameters: three for each person.
const ROWS: usize = 10_000;

/// Group commit. A lone caller does not wait; under load, each commit has the rows that came during the last one. A row that
/// violates a constraint fails its own caller: the others are saved by the statements of the halves.
#[batch(size = ROWS, eager, concurrency = 1, scope = db.scope, split_on_err = |error| is_violation(error))]
async fn save(db: &Db, people: &[Person]) -> Result<()> {
    QueryBuilder::new("INSERT INTO people (id, name, age) ")
        .push_values(people, |mut row, person| {
            row.push_bind(person.id)
                .push_bind(&person.name)
                .push_bind(person.age);
        })
        .build()
        .execute(&db.pool)
        .await?;
    Ok(())
}

fn is_violation(error: &sqlx::Error) -> bool {
    use sqlx::error::ErrorKind::{CheckViolation, UniqueViolation};
    let kind = error.as_database_error().map(|error| error.kind());
    matches!(kind, Some(CheckViolation | UniqueViolation))
}

/// An upsert, with the row as the database has it now. Two writes of one setting are never in one statement, and the later
/// one wins.
#[batch(
    size = ROWS,
    eager,
    concurrency = 1,
    scope = db.scope,
    unique = |setting| &setting.0,
    one_by = |row| &row.0,
    item_by = |setting| &setting.0
)]
async fn set(db: &Db, settings: Vec<(String, String)>) -> Result<Vec<(String, String)>> {
    Ok(QueryBuilder::new("INSERT INTO settings (name, value) ")
        .push_values(settings, |mut row, (name, value)| {
            row.push_bind(name).push_bind(value);
        })
        .push(" ON CONFLICT (name) DO UPDATE SET value = excluded.value RETURNING name, value")
        .build_query_as()
        .fetch_all(&db.pool)
        .await?)
}

/// A data loader. SQLite has no array parameters, so there is one parameter for each id.
#[dedup(scope = db.scope)]
#[batch(size = 1_000, eager, one_by = |person| person.id)]
async fn person(db: &Db, ids: Vec<i64>) -> Result<Vec<Person>> {
    let mut query = QueryBuilder::new("SELECT id, name, age FROM people WHERE id IN ");
    query.push_tuples(ids, |mut row, id| {
        row.push_bind(id);
    });
    Ok(query.build_query_as().fetch_all(&db.pool).await?)
}

fn new_person(id: i64) -> Person {
    Person {
        id,
        name: format!("person {id}"),
        age: id % 100,
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let file = std::env::temp_dir().join(format!("piggyback-{}.sqlite", std::process::id()));
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePool::connect_with(options).await?;
    let shown = show(pool.clone()).await;
    pool.close().await;
    for end in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(end);
        let _ = std::fs::remove_file(name);
    }
    Ok(shown?)
}

async fn show(pool: SqlitePool) -> Result<()> {
    let db = &Db::create(pool).await?;
    let start = Instant::now();
    try_join_all((0..20).map(|id| async move {
        sqlx::query("INSERT INTO people VALUES (?, ?, ?)")
            .bind(-1 - id)
            .bind("one by one")
            .bind(1)
            .execute(&db.pool)
            .await
    }))
    .await?;
    println!("20 rows, one INSERT each: {:?}", start.elapsed());
    let start = Instant::now();
    try_join_all((0..2_000).map(|id| save(db, new_person(id)))).await?;
    println!("2,000 rows, group commit: {:?}", start.elapsed());

    try_join_all((0..2_000).map(|id| person(db, id % 200))).await?;
    try_join_all((0..200).map(|n| set(db, (format!("setting {}", n % 100), n.to_string()))))
        .await?;
    print!("{}", db.scope.stats());
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use piggyback::Kind;

    use super::*;

    #[sqlx::test]
    async fn the_program_runs(pool: SqlitePool) -> Result<()> {
        show(pool).await
    }

    #[sqlx::test]
    async fn rows_that_are_acknowledged_are_saved_once(pool: SqlitePool) -> Result<()> {
        let db = &Db::create(pool).await?;
        try_join_all((0..500).map(|id| save(db, new_person(id)))).await?;
        let saved: Vec<Person> = sqlx::query_as("SELECT * FROM people ORDER BY id")
            .fetch_all(&db.pool)
            .await?;
        assert_eq!(saved, (0..500).map(new_person).collect::<Vec<_>>());
        // One for the rows that came before it started, and one for the rest.
        assert!(db.scope.stats().rows[0].executions <= 2);
        Ok(())
    }

    #[sqlx::test]
    async fn a_row_that_violates_a_constraint_fails_its_own_caller(pool: SqlitePool) -> Result<()> {
        let db = &Db::create(pool).await?;
        let results = join_all((0..64).map(|id| {
            let age = if id == 41 { -1 } else { id };
            save(
                db,
                Person {
                    age,
                    ..new_person(id)
                },
            )
        }))
        .await;
        for (id, result) in (0..).zip(results) {
            match result {
                Ok(()) => assert_ne!(id, 41),
                Err(error) => assert!(id == 41 && is_violation(&error), "{id}: {error}"),
            }
        }
        let saved: i64 = sqlx::query_scalar("SELECT count(*) FROM people")
            .fetch_one(&db.pool)
            .await?;
        assert_eq!(saved, 63);
        Ok(())
    }

    #[sqlx::test]
    async fn the_later_write_of_a_setting_wins(pool: SqlitePool) -> Result<()> {
        let db = &Db::create(pool).await?;
        let rows = try_join_all((0..30).map(|n| {
            let name = ["colour", "size", "font"][n % 3];
            set(db, (name.to_owned(), n.to_string()))
        }))
        .await?;
        for (n, row) in rows.into_iter().enumerate() {
            assert_eq!(row.expect("RETURNING has it").1, n.to_string());
        }
        let saved: Vec<String> = sqlx::query_scalar("SELECT value FROM settings ORDER BY name")
            .fetch_all(&db.pool)
            .await?;
        assert_eq!(saved, ["27", "29", "28"]);
        Ok(())
    }

    #[sqlx::test]
    async fn equal_ids_are_read_once(pool: SqlitePool) -> Result<()> {
        let db = &Db::create(pool).await?;
        try_join_all((0..10).map(|id| save(db, new_person(id)))).await?;
        let people = try_join_all((0..1_000).map(|n| person(db, n % 20))).await?;
        for (n, found) in (0..).zip(people) {
            let id = n % 20;
            assert_eq!(found, (id < 10).then(|| new_person(id)));
        }
        let stats = db.scope.stats();
        let items = stats.rows.iter().filter_map(|row| match row.kind {
            Kind::Batch { items, .. } if row.function.ends_with("::person") => Some(items),
            _ => None,
        });
        assert_eq!(items.sum::<u64>(), 20);
        Ok(())
    }
}
