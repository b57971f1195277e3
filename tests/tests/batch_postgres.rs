//! Bulk statements of PostgreSQL, called with one item: what its constraints, `ON CONFLICT`, its limit of bind parameters,
//! `ANY($1)` and `UNNEST` ask of a batch.
//!
//! Reads `DATABASE_URL`; without it, the tests say so and pass. Each has a connection of its own, and on it a temporary
//! table, which goes away with the connection even when the test fails.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use piggyback::{batch, dedup};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls, Row};

/// The largest number of parameters of a statement.
const MAX_PARAMETERS: usize = 65_535;

#[derive(Clone)]
struct Db {
    client: Arc<Client>,
    /// The number of items of each statement, or of parameters if each value is one.
    statements: Arc<Mutex<Vec<usize>>>,
}

impl Db {
    /// A connection with a table of its own, `t`.
    async fn with(columns: &str) -> Option<Self> {
        let Ok(url) = std::env::var("DATABASE_URL") else {
            piggyback_tests::skipped("DATABASE_URL is not set");
            return None;
        };
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let create = format!("CREATE TEMPORARY TABLE t ({columns})");
        client.batch_execute(&create).await.unwrap();
        Some(Self {
            client: Arc::new(client),
            statements: Arc::default(),
        })
    }

    async fn execute(
        &self,
        size: usize,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        self.statements.lock().unwrap().push(size);
        self.client.execute(sql, parameters).await
    }

    async fn query(
        &self,
        size: usize,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.statements.lock().unwrap().push(size);
        self.client.query(sql, parameters).await
    }

    /// The sizes of the statements since last asked.
    fn statements(&self) -> Vec<usize> {
        std::mem::take(&mut self.statements.lock().unwrap())
    }

    async fn ids(&self) -> Vec<i64> {
        let rows = self.client.query("SELECT id FROM t ORDER BY id", &[]).await;
        rows.unwrap().iter().map(|row| row.get("id")).collect()
    }

    async fn names(&self) -> Vec<(i64, String)> {
        let select = "SELECT id, name FROM t ORDER BY id, name";
        let rows = self.client.query(select, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Named {
    id: i64,
    name: String,
}

impl From<&Row> for Named {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            name: row.get("name"),
        }
    }
}

fn named(id: i64, name: &str) -> Named {
    Named {
        id,
        name: name.to_owned(),
    }
}

/// Which row the database complains about, as it writes it.
fn detail(error: &Error) -> (SqlState, String) {
    let error = error.as_db_error().expect("an error of the server");
    (
        error.code().clone(),
        error.detail().unwrap_or_default().to_owned(),
    )
}

/// A person's id and age.
#[batch(size = 64, delay_ms = 5_000, split_on_err, skip(db))]
async fn save_person(db: &Db, people: &[(i64, i64)]) -> Result<(), Error> {
    let (ids, ages): (Vec<_>, Vec<_>) = people.iter().copied().unzip();
    let insert = "INSERT INTO t SELECT * FROM unnest($1::bigint[], $2::bigint[])";
    db.execute(people.len(), insert, &[&ids, &ages]).await?;
    Ok(())
}

const PEOPLE: &str = "id bigint UNIQUE, age bigint CHECK (age >= 0)";

/// Saves 64 people, of which these violate a constraint, and returns how many statements it took.
async fn save_64(ids: [i64; 64], too_young: &[i64], taken: &[i64]) -> Option<usize> {
    let db = Db::with(PEOPLE).await?;
    for id in taken {
        let insert = "INSERT INTO t VALUES ($1, 99)";
        db.client.execute(insert, &[id]).await.unwrap();
    }
    let age = |id| if too_young.contains(&id) { -id } else { id };
    let results = join_all(ids.map(|id| save_person(&db, (id, age(id))))).await;
    for (id, result) in ids.into_iter().zip(&results) {
        match result {
            Ok(()) => assert!(!too_young.contains(&id) && !taken.contains(&id), "{id}"),
            Err(error) => {
                let (code, detail) = detail(error);
                if too_young.contains(&id) {
                    assert_eq!(code, SqlState::CHECK_VIOLATION);
                    assert_eq!(detail, format!("Failing row contains ({id}, -{id})."));
                } else {
                    assert_eq!(code, SqlState::UNIQUE_VIOLATION);
                    assert_eq!(detail, format!("Key (id)=({id}) already exists."));
                }
            }
        }
    }
    let saved: BTreeSet<_> = ids.into_iter().chain(taken.iter().copied()).collect();
    let saved = saved.into_iter().filter(|id| !too_young.contains(id));
    assert_eq!(db.ids().await, Vec::from_iter(saved));
    let failed = results.iter().filter(|result| result.is_err()).count();
    let repeated = 64 - BTreeSet::from(ids).len();
    assert_eq!(failed, too_young.len() + taken.len() + repeated);
    let statements = db.statements();
    assert_eq!(statements[0], 64);
    Some(statements.len())
}

fn ids() -> [i64; 64] {
    std::array::from_fn(|n| n as i64 + 1)
}

#[tokio::test]
async fn one_of_64_rows_fails_and_63_are_saved() {
    let Some(clean) = save_64(ids(), &[], &[]).await else {
        return;
    };
    assert_eq!(clean, 1);
    for bad in [1, 2, 32, 33, 47, 64] {
        let check = save_64(ids(), &[bad], &[]).await.unwrap();
        assert!(check <= 1 + 2 * 6, "{check} statements for {bad}");
        let unique = save_64(ids(), &[], &[bad]).await.unwrap();
        assert!(unique <= 1 + 2 * 6, "{unique} statements for {bad}");
    }
}

#[tokio::test]
async fn each_bad_row_fails_with_its_own_error() {
    for (too_young, taken) in [
        (&[6, 21, 51][..], &[][..]),
        (&[], &[1, 2, 64]),
        (&[31, 32], &[33]),
    ] {
        let Some(statements) = save_64(ids(), too_young, taken).await else {
            return;
        };
        assert!(statements <= 1 + 3 * 2 * 6, "{statements} statements");
    }
}

/// Neither is bad by itself: halves of a batch that was good apart can't be taken for saved.
#[tokio::test]
async fn one_of_several_conflicting_rows_is_saved() {
    for (first, second) in [(0, 1), (3, 40), (31, 32), (62, 63)] {
        let mut ids = ids();
        ids[second] = ids[first];
        let Some(statements) = save_64(ids, &[], &[]).await else {
            return;
        };
        assert!(statements <= 1 + 2 * 6, "{statements} statements");
    }
}

async fn upsert(db: &Db, rows: &[Named]) -> Result<(), Arc<Error>> {
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let names: Vec<_> = rows.iter().map(|row| &row.name).collect();
    let insert = "INSERT INTO t SELECT * FROM unnest($1::bigint[], $2::text[])
                  ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name";
    db.execute(rows.len(), insert, &[&ids, &names]).await?;
    Ok(())
}

#[tokio::test]
async fn the_same_key_twice_is_upserted_twice() {
    #[batch(size = 100, delay_ms = 20, concurrency = 1, unique = |row| row.id, skip(db))]
    async fn save(db: &Db, rows: Vec<Named>) -> Result<(), Arc<Error>> {
        upsert(db, &rows).await
    }
    let Some(db) = Db::with("id bigint PRIMARY KEY, name text").await else {
        return;
    };
    let rows = [named(1, "Ada"), named(2, "Grace"), named(1, "Ada L.")];
    for result in join_all(rows.map(|row| save(&db, row))).await {
        result.unwrap();
    }
    assert_eq!(db.statements(), [2, 1]);
    let saved = [(1, "Ada L.".to_owned()), (2, "Grace".to_owned())];
    assert_eq!(db.names().await, saved);
}

#[tokio::test]
async fn without_unique_the_database_refuses() {
    #[batch(size = 100, delay_ms = 20, skip(db))]
    async fn save(db: &Db, rows: Vec<Named>) -> Result<(), Arc<Error>> {
        upsert(db, &rows).await
    }
    let Some(db) = Db::with("id bigint PRIMARY KEY, name text").await else {
        return;
    };
    let rows = [named(1, "Ada"), named(2, "Grace"), named(1, "Ada L.")];
    for result in join_all(rows.map(|row| save(&db, row))).await {
        let error = result.unwrap_err();
        let message = error.as_db_error().unwrap().message();
        assert!(
            message.contains("cannot affect row a second time"),
            "{message}"
        );
    }
    assert_eq!(db.statements(), [3]);
    assert_eq!(db.names().await, []);
}

/// Binds each value as a parameter of its own.
async fn insert_values(db: &Db, values: &[i64]) -> Result<(), Arc<Error>> {
    let mut insert = "INSERT INTO t VALUES ".to_owned();
    for n in 1..=values.len() {
        let comma = if n == 1 { "" } else { "," };
        write!(insert, "{comma}(${n})").unwrap();
    }
    let parameters: Vec<_> = values.iter().map(|v| v as &(dyn ToSql + Sync)).collect();
    db.execute(values.len(), &insert, &parameters).await?;
    Ok(())
}

/// Consecutive values, cut into items of these sizes.
fn items(sizes: &[usize]) -> Vec<Vec<i64>> {
    let mut values = 0..;
    let item = |size: &usize| values.by_ref().take(*size).collect();
    sizes.iter().map(item).collect()
}

#[tokio::test]
async fn bind_parameters_never_exceed_what_a_statement_takes() {
    #[batch(size = 1_000, delay_ms = 20, weight = |item| item.len(), max_weight = 65_535, skip(db))]
    async fn save(db: &Db, items: Vec<Vec<i64>>) -> Result<(), Arc<Error>> {
        // Only what is too much by itself is left to the function.
        match &items[..] {
            [alone] => {
                for values in alone.chunks(MAX_PARAMETERS) {
                    insert_values(db, values).await?;
                }
                Ok(())
            }
            _ => insert_values(db, &items.concat()).await,
        }
    }
    let Some(db) = Db::with("id bigint").await else {
        return;
    };
    // Full to the last parameter; one more than that; alone and full; alone and too much; and many that are small.
    let mut sizes = vec![40_000, 25_535, 1, 65_535, 70_000, 40_000, 25_536];
    sizes.extend((0..50).map(|n| n * 31 % 40));
    let items = items(&sizes);
    let all: Vec<_> = items.concat();
    for result in join_all(items.into_iter().map(|item| save(&db, item))).await {
        result.unwrap();
    }
    let statements = db.statements();
    assert!(
        statements.iter().all(|n| *n <= MAX_PARAMETERS),
        "{statements:?}"
    );
    assert_eq!(statements.iter().sum::<usize>(), all.len());
    // 1 can't wait for what doesn't fit with it: {40,000 25,535} {1} {65,535} {70,000} {40,000} {25,536 …}.
    assert!(statements.len() <= 7, "{statements:?}");
    assert_eq!(statements.iter().filter(|n| **n == 65_535).count(), 3);
    assert_eq!(db.ids().await, all);
}

#[tokio::test]
async fn without_a_weight_they_do() {
    #[batch(size = 2, delay_ms = 5_000, skip(db))]
    async fn save(db: &Db, items: Vec<Vec<i64>>) -> Result<(), Arc<Error>> {
        insert_values(db, &items.concat()).await
    }
    let Some(db) = Db::with("id bigint").await else {
        return;
    };
    let items = items(&[40_000, 25_536]);
    for result in join_all(items.into_iter().map(|item| save(&db, item))).await {
        result.unwrap_err();
    }
    assert_eq!(db.statements(), [MAX_PARAMETERS + 1]);
}

/// Ids that are there: 1, 3, 5, 7, 9. The author of 2 posts is 1, of 1 is 3.
async fn library() -> Option<Db> {
    let db = Db::with("id bigint, name text, author bigint").await?;
    let insert = "INSERT INTO t VALUES
                  (9, 'nine', 0), (1, 'one', 3), (5, 'five', 1), (3, 'three', 1), (7, 'seven', 0)";
    db.client.batch_execute(insert).await.unwrap();
    Some(db)
}

const BY_ID: &str = "SELECT id, name FROM t WHERE id = ANY($1) ORDER BY id DESC";

#[tokio::test]
async fn rows_find_their_callers() {
    #[batch(size = 100, delay_ms = 20, one_by = |row| row.id, skip(db))]
    async fn find(db: &Db, ids: Vec<i64>) -> Result<Vec<Named>, Arc<Error>> {
        let rows = db.query(ids.len(), BY_ID, &[&ids]).await?;
        Ok(rows.iter().map(Named::from).collect())
    }
    let Some(db) = library().await else { return };
    // Missing ones, and one that is asked for twice.
    let results = join_all([4, 3, 9, 2, 1, 3].map(|id| find(&db, id))).await;
    let results = results.into_iter().map(Result::unwrap);
    let (three, nine, one) = (named(3, "three"), named(9, "nine"), named(1, "one"));
    let expected = [
        None,
        Some(three.clone()),
        Some(nine),
        None,
        Some(one),
        Some(three),
    ];
    assert_eq!(Vec::from_iter(results), expected);
    assert_eq!(db.statements(), [6]);
}

#[tokio::test]
async fn several_rows_find_their_caller() {
    #[batch(size = 100, delay_ms = 20, many_by = |post| post.0, skip(db))]
    async fn posts(db: &Db, authors: &[i64]) -> Result<Vec<(i64, i64)>, Arc<Error>> {
        let select = "SELECT author, id FROM t WHERE author = ANY($1) ORDER BY id DESC";
        let rows = db.query(authors.len(), select, &[&authors]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
    let Some(db) = library().await else { return };
    let results = join_all([3, 2, 1, 1].map(|author| posts(&db, author))).await;
    let results = results.into_iter().map(Result::unwrap);
    // In the order of the rows.
    let expected = [
        vec![(3, 1)],
        vec![],
        vec![(1, 5), (1, 3)],
        vec![(1, 5), (1, 3)],
    ];
    assert_eq!(Vec::from_iter(results), expected);
    assert_eq!(db.statements(), [4]);
}

#[tokio::test]
async fn a_count_is_for_all() {
    #[batch(size = 100, delay_ms = 20, shared, skip(db))]
    async fn delete(db: &Db, ids: &[i64]) -> Result<u64, Arc<Error>> {
        let delete = "DELETE FROM t WHERE id = ANY($1)";
        Ok(db.execute(ids.len(), delete, &[&ids]).await?)
    }
    let Some(db) = library().await else { return };
    for result in join_all([1, 2, 3].map(|id| delete(&db, id))).await {
        assert_eq!(result.unwrap(), 2);
    }
    assert_eq!(db.statements(), [3]);
    assert_eq!(db.ids().await, [5, 7, 9]);
}

async fn names_of(db: &Db, ids: &[i64]) -> Result<HashMap<i64, String>, Arc<Error>> {
    let rows = db.query(ids.len(), BY_ID, &[&ids]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

#[tokio::test]
async fn a_data_loader_asks_once_for_each() {
    #[batch(size = 100, delay_ms = 20, skip(db))]
    #[dedup]
    async fn name(db: &Db, ids: Vec<i64>) -> Result<HashMap<i64, String>, Arc<Error>> {
        names_of(db, &ids).await
    }
    #[dedup(skip(db))]
    #[batch(size = 100, delay_ms = 20)]
    async fn name_too(db: &Db, ids: Vec<i64>) -> Result<HashMap<i64, String>, Arc<Error>> {
        names_of(db, &ids).await
    }
    let Some(db) = library().await else { return };
    let ids = [7, 2, 7, 1, 2, 7, 9, 1];
    let expected = ids.map(|id| match id {
        1 => Some("one"),
        7 => Some("seven"),
        9 => Some("nine"),
        _ => None,
    });
    let results = join_all(ids.map(|id| name(&db, id))).await;
    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        Vec::from_iter(results.iter().map(Option::as_deref)),
        expected
    );
    let results = join_all(ids.map(|id| name_too(&db, id))).await;
    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        Vec::from_iter(results.iter().map(Option::as_deref)),
        expected
    );
    assert_eq!(db.statements(), [4, 4]);
}

#[tokio::test]
async fn parallel_lists_stay_in_step() {
    #[batch(size = 100, delay_ms = 20, items(ids, names), skip(db))]
    async fn save(db: &Db, ids: &[i64], names: &[String]) -> Result<Vec<String>, Arc<Error>> {
        let insert = "INSERT INTO t SELECT * FROM unnest($1::bigint[], $2::text[])
                      RETURNING id || ' ' || name";
        let rows = db.query(ids.len(), insert, &[&ids, &names]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
    let Some(db) = Db::with("id bigint, name text").await else {
        return;
    };
    let name = |id: i64| format!("name of {id}");
    let results = join_all((0..50).map(|id| save(&db, id, name(id)))).await;
    for (id, result) in results.into_iter().enumerate() {
        assert_eq!(result.unwrap(), format!("{id} name of {id}"));
    }
    assert_eq!(db.statements(), [50]);
    assert_eq!(
        db.names().await,
        Vec::from_iter((0..50).map(|id| (id, name(id))))
    );
}

/// Overlapping upserts from 64 callers over four connections: the batches that share a row run one after another, so none is
/// refused with 40P01 (deadlock detected), and the last write of each row is the one that stays.
#[tokio::test]
async fn overlapping_upserts_never_deadlock_and_the_last_write_wins() {
    const ROWS: u64 = 20;
    const CALLERS: u64 = 64;
    const EACH: u64 = 125;
    let Ok(url) = std::env::var("DATABASE_URL") else {
        return piggyback_tests::skipped("DATABASE_URL is not set");
    };
    let table = format!("piggyback_upserts_{}", std::process::id());
    let mut connections = Vec::new();
    for _ in 0..4 {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        connections.push(client);
    }
    let create = format!("CREATE UNLOGGED TABLE {table} (id bigint PRIMARY KEY, version bigint)");
    connections[0].batch_execute(&create).await.unwrap();
    struct Pool {
        connections: Vec<Client>,
        next: AtomicUsize,
        upsert: String,
    }
    let pool = Arc::new(Pool {
        connections,
        next: AtomicUsize::new(0),
        upsert: format!(
            "INSERT INTO {table} SELECT * FROM unnest($1::bigint[], $2::bigint[]) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version"
        ),
    });

    #[batch(size = 20, delay_ms = 1, eager, unique = |row| row.0, skip(pool))]
    async fn upsert(pool: &Arc<Pool>, rows: Vec<(i64, i64)>) -> Result<(), Arc<Error>> {
        let (ids, versions): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let at = pool.next.fetch_add(1, SeqCst) % pool.connections.len();
        let client = &pool.connections[at];
        client.execute(&pool.upsert, &[&ids, &versions]).await?;
        Ok(())
    }
    let version = Arc::new(AtomicUsize::new(0));
    let calls = (0..CALLERS).map(|caller| {
        let (pool, version) = (pool.clone(), version.clone());
        tokio::spawn(async move {
            for n in 0..EACH {
                let id = (caller * 7 + n * n + n) % ROWS;
                // Nothing comes between this and the moment in which the call begins.
                let version = version.fetch_add(1, SeqCst) as i64;
                let upserted = upsert(&pool, (id as i64, version)).await;
                upserted.unwrap_or_else(|error| panic!("{error:?}"));
                LAST.lock()
                    .unwrap()
                    .entry(id as i64)
                    .or_default()
                    .push(version);
            }
        })
    });
    static LAST: Mutex<BTreeMap<i64, Vec<i64>>> = Mutex::new(BTreeMap::new());
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let select = format!("SELECT id, version FROM {table}");
    let stored = pool.connections[0].query(&select, &[]).await.unwrap();
    let drop = format!("DROP TABLE {table}");
    pool.connections[0].batch_execute(&drop).await.unwrap();
    let last = LAST.lock().unwrap();
    let written: usize = last.values().map(Vec::len).sum();
    assert_eq!(written as u64, CALLERS * EACH);
    for row in stored {
        let (id, version): (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(version, *last[&id].iter().max().unwrap(), "row {id}");
    }
}
