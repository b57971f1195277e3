//! Free functions over pools, connections and clients.

use super::stand_ins::diesel_async::AsyncConnection;
use super::stand_ins::model::{AppError, AppResult, Email, Filter, User, UserId, user};
use super::stand_ins::sqlx::{self, PgConnection, PgPool, Transaction};
use anyhow::Context as _;
use piggyback::dedup;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

fn share(_: Arc<sqlx::Error>) -> sqlx::Error {
    sqlx::Error::RowNotFound
}

#[dedup(skip(pool), share_err = AppError::Shared)]
async fn find_user(pool: &PgPool, id: u64) -> Result<User, AppError> {
    Ok(user(pool.fetch_one(id).await?))
}

#[dedup(skip(pool), share_err = AppError::Shared)]
async fn find_newtype(pool: &PgPool, id: UserId) -> AppResult<Option<User>> {
    match pool.fetch_one(id.0).await {
        Ok(id) => Ok(Some(user(id))),
        Err(sqlx::Error::RowNotFound) => Ok(None),
    }
}

#[dedup(skip(pool), share_err = share)]
async fn count(pool: &PgPool, id: Uuid) -> sqlx::Result<i64> {
    pool.execute().await;
    Ok(id.as_u128() as i64)
}

#[dedup(skip(pool), share_err = |error: Arc<AppError>| AppError::Shared(error.clone()))]
async fn by_email(pool: &PgPool, email: &Email) -> AppResult<String> {
    pool.execute().await;
    Ok(email.0.clone())
}

#[dedup(skip(pool), share_err = piggyback::anyhow::shared)]
async fn load(pool: &PgPool, id: u64) -> anyhow::Result<User> {
    Ok(user(pool.fetch_one(id).await.context("load")?))
}

#[dedup(skip(pool), share_err = piggyback::anyhow::shared)]
async fn load_long(pool: PgPool, id: u64, depth: usize) -> Result<Vec<User>, anyhow::Error> {
    let first = pool.fetch_one(id).await?;
    Ok((first..).take(depth).map(user).collect())
}

#[dedup(skip(conn), share_err = AppError::Shared)]
async fn on_connection(conn: &mut PgConnection, id: u64) -> AppResult<u64> {
    Ok(conn.fetch_one(id).await?)
}

#[dedup(skip(conn), share_err = share)]
async fn on_any_connection(conn: &mut impl AsyncConnection, id: u64) -> sqlx::Result<u64> {
    conn.load(id).await
}

#[dedup(skip(conn), share_err = share)]
async fn on_generic_connection<C: AsyncConnection>(conn: &mut C, id: u64) -> sqlx::Result<u64> {
    conn.load(id).await
}

#[dedup(skip(tx), share_err = share)]
async fn in_transaction(tx: &mut Transaction<'_>, id: u64) -> sqlx::Result<u64> {
    tx.connection.fetch_one(id).await
}

#[dedup(skip(pool))]
async fn by_name(pool: &PgPool, name: &str) -> usize {
    pool.execute().await;
    name.len()
}

#[dedup(skip(pool))]
async fn by_optional(pool: &PgPool, name: Option<&str>, locale: Option<String>) -> usize {
    pool.execute().await;
    name.map_or(0, str::len) + locale.map_or(0, |locale| locale.len())
}

#[dedup(skip(pool))]
async fn by_ids(pool: &PgPool, ids: &[u64]) -> HashMap<u64, User> {
    pool.execute().await;
    ids.iter().map(|id| (*id, user(*id))).collect()
}

#[dedup(skip(pool))]
async fn by_tags(pool: &PgPool, tags: &[&str], all: bool) -> Vec<String> {
    pool.execute().await;
    tags.iter().map(|tag| format!("{tag}{all}")).collect()
}

#[dedup(skip(pool))]
async fn by_set(pool: &PgPool, ids: BTreeSet<u64>) -> u64 {
    pool.execute().await;
    ids.iter().sum()
}

#[dedup(skip(pool))]
async fn by_cow(pool: &PgPool, name: Cow<'_, str>) -> usize {
    pool.execute().await;
    name.len()
}

#[dedup(skip(pool))]
async fn by_arc(pool: &PgPool, name: Arc<str>) -> usize {
    pool.execute().await;
    name.len()
}

#[dedup(skip(pool))]
async fn by_static(pool: &PgPool, table: &'static str) -> usize {
    pool.execute().await;
    table.len()
}

#[dedup(skip(pool))]
async fn by_tuple(pool: &PgPool, (from, to): (u64, u64)) -> u64 {
    pool.execute().await;
    to - from
}

#[dedup(skip(pool))]
async fn by_filter(pool: &PgPool, filter: &Filter, limit: Option<u32>) -> u32 {
    pool.execute().await;
    filter.page + limit.unwrap_or(0)
}

#[dedup(skip(pool), key(near = (near.0.to_bits(), near.1.to_bits())))]
async fn by_place(pool: &PgPool, near: (f64, f64)) -> String {
    pool.execute().await;
    format!("{near:?}")
}

#[dedup(skip(pool), key(radius = radius.to_bits()))]
async fn by_radius(pool: &PgPool, radius: f64, unit: char) -> String {
    pool.execute().await;
    format!("{radius}{unit}")
}

#[dedup(skip(pool, deadline))]
async fn with_deadline(pool: &PgPool, id: u64, deadline: Duration) -> bool {
    tokio::time::timeout(deadline, pool.fetch_one(id))
        .await
        .is_ok()
}

#[dedup(skip(pool), clone_with = |rows: &Rows| Rows(rows.0.clone()))]
async fn foreign_rows(pool: &PgPool, id: u64) -> Rows {
    pool.execute().await;
    Rows(vec![id])
}

/// Foreign, and not `Clone`.
struct Rows(Vec<u64>);

#[dedup(skip(pool), share_err = |error| Box::new(AppError::Shared(Arc::new(AppError::Database(share_boxed(error))))))]
async fn boxed_error(
    pool: &PgPool,
    id: u64,
) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    Ok(pool.fetch_one(id).await?)
}

fn share_boxed(_: Arc<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::RowNotFound
}

#[dedup(skip(fetch))]
async fn generic_fetch<F, Fut>(id: u64, fetch: F) -> u64
where
    F: Fn(u64) -> Fut + Send,
    Fut: Future<Output = u64> + Send,
{
    fetch(id).await
}

#[dedup(skip(pool))]
fn returned(pool: &PgPool, name: &str, rest: &str) -> impl Future<Output = usize> + Send {
    let length = name.len() + rest.len();
    async move {
        pool.execute().await;
        length
    }
}

#[dedup(skip(pool), direct = balance_now, forget = forget_balance)]
async fn balance(pool: &PgPool, account: u64) -> u64 {
    pool.execute().await;
    account
}

#[tokio::test(start_paused = true)]
async fn functions_share_by_their_arguments() {
    let pool = &PgPool::default();
    assert_eq!(
        together!(pool, find_user(pool, 1), find_user(pool, 1))
            .1
            .unwrap(),
        user(1)
    );
    apart!(pool, find_user(pool, 1), find_user(pool, 2))
        .1
        .unwrap();
    let call = |id| find_newtype(pool, UserId(id));
    assert_eq!(together!(pool, call(0), call(0)).1.unwrap(), None);
    let call = || count(pool, Uuid::from_u128(7));
    assert_eq!(together!(pool, call(), call()).1.unwrap(), 7);
    let (a, b) = (Email("a".into()), Email("a".into()));
    assert_eq!(
        together!(pool, by_email(pool, &a), by_email(pool, &b))
            .1
            .unwrap(),
        "a"
    );
    let (_, error) = together!(pool, load(pool, 0), load(pool, 0));
    assert_eq!(error.unwrap_err().to_string(), "load");
    let call = || load_long(pool.clone(), 1, 2);
    assert_eq!(together!(pool, call(), call()).1.unwrap().len(), 2);
    let (mut a, mut b) = (pool.acquire(), pool.acquire());
    assert_eq!(
        together!(pool, on_connection(&mut a, 1), on_connection(&mut b, 1))
            .1
            .unwrap(),
        1
    );
    assert_eq!(
        together!(
            pool,
            on_any_connection(&mut a, 1),
            on_any_connection(&mut b, 1)
        )
        .1
        .unwrap(),
        1
    );
    together!(
        pool,
        on_generic_connection(&mut a, 1),
        on_generic_connection(&mut b, 1)
    )
    .1
    .unwrap();
    let (mut a, mut b) = (
        Transaction { connection: &mut a },
        Transaction { connection: &mut b },
    );
    together!(pool, in_transaction(&mut a, 1), in_transaction(&mut b, 1))
        .1
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn borrowed_and_owned_arguments_are_compared_by_value() {
    let pool = &PgPool::default();
    let name = String::from("ab");
    let (ids, names) = (vec![1], [&*name]);
    assert_eq!(
        together!(pool, by_name(pool, "ab"), by_name(pool, &name)),
        (2, 2)
    );
    let call = |name| by_optional(pool, name, Some("en".into()));
    assert_eq!(together!(pool, call(Some("ab")), call(Some(&name))), (4, 4));
    apart!(pool, call(Some("ab")), call(None));
    assert_eq!(
        together!(pool, by_ids(pool, &[1]), by_ids(pool, &ids))
            .1
            .len(),
        1
    );
    assert_eq!(
        together!(
            pool,
            by_tags(pool, &["ab"], true),
            by_tags(pool, &names, true)
        )
        .1,
        ["abtrue"]
    );
    let set = || BTreeSet::from([1, 2]);
    assert_eq!(
        together!(pool, by_set(pool, set()), by_set(pool, set())),
        (3, 3)
    );
    together!(
        pool,
        by_cow(pool, "ab".into()),
        by_cow(pool, name.clone().into())
    );
    together!(pool, by_arc(pool, "ab".into()), by_arc(pool, "ab".into()));
    together!(pool, by_static(pool, "ab"), by_static(pool, "ab"));
    assert_eq!(
        together!(pool, by_tuple(pool, (1, 3)), by_tuple(pool, (1, 3))),
        (2, 2)
    );
    let (one, two) = (Filter::default(), Filter::default());
    together!(
        pool,
        by_filter(pool, &one, None),
        by_filter(pool, &two, None)
    );
    together!(pool, by_place(pool, (0.5, 1.0)), by_place(pool, (0.5, 1.0)));
    apart!(pool, by_radius(pool, 0.5, 'm'), by_radius(pool, 0.5, 'k'));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_key_and_no_clone_has_an_option() {
    let pool = &PgPool::default();
    let call = |ms| with_deadline(pool, 1, Duration::from_millis(ms));
    assert_eq!(together!(pool, call(50), call(60)), (true, true));
    assert_eq!(
        together!(pool, foreign_rows(pool, 1), foreign_rows(pool, 1))
            .1
            .0,
        [1]
    );
    let (_, error) = together!(pool, boxed_error(pool, 0), boxed_error(pool, 0));
    assert_eq!(error.unwrap_err().to_string(), "no rows returned");
    let fetch = |id| async move { pool.fetch_one(id).await.unwrap_or(0) };
    assert_eq!(
        together!(pool, generic_fetch(1, fetch), generic_fetch(1, fetch)),
        (1, 1)
    );
    assert_eq!(
        together!(pool, returned(pool, "a", "b"), returned(pool, "a", "b")),
        (2, 2)
    );
    assert_eq!(together!(pool, balance(pool, 1), balance(pool, 1)), (1, 1));
    apart!(pool, balance(pool, 1), balance_now(pool, 1));
    let before = pool.executions();
    tokio::join!(balance(pool, 1), async {
        forget_balance(pool, 1);
        balance(pool, 1).await
    });
    assert_eq!(pool.executions() - before, 2);
}
