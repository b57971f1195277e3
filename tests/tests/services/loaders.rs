//! Data loaders: SELECT … ANY, for many callers that ask for one.

use super::stand_ins::model::{AppError, AppResult, Order, User, UserId, user};
use super::stand_ins::sqlx::{self, PgPool};
use piggyback::{batch, dedup};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

#[dedup]
#[batch(size = 100, delay_ms = 1, skip(pool), share_err = AppError::Shared)]
async fn user_by_id(pool: &PgPool, ids: Vec<u64>) -> AppResult<HashMap<u64, User>> {
    pool.execute().await;
    Ok(ids
        .into_iter()
        .filter(|id| *id != 0)
        .map(|id| (id, user(id)))
        .collect())
}

#[batch(size = 100, delay_ms = 1, skip(pool), one_by = |user| UserId(user.id), share_err = AppError::Shared)]
async fn user_by_row(pool: &PgPool, ids: &[UserId]) -> Result<Vec<User>, AppError> {
    pool.execute().await;
    Ok(ids
        .iter()
        .rev()
        .filter(|id| id.0 != 0)
        .map(|id| user(id.0))
        .collect())
}

#[batch(size = 100, delay_ms = 1, skip(pool), many_by = |order| order.user, share_err = |_| sqlx::Error::RowNotFound)]
async fn orders_of(pool: &PgPool, users: &[UserId]) -> sqlx::Result<Vec<Order>> {
    pool.execute().await;
    let order = |user: &UserId| Order {
        id: Uuid::from_u128(user.0.into()),
        user: *user,
    };
    Ok(users
        .iter()
        .flat_map(|user| [order(user), order(user)])
        .collect())
}

#[batch(size = 100, delay_ms = 1, skip(pool))]
async fn names(pool: PgPool, ids: Vec<UserId>) -> BTreeMap<UserId, String> {
    pool.execute().await;
    ids.into_iter().map(|id| (id, id.0.to_string())).collect()
}

#[batch(size = 100, delay_ms = 1, skip(pool), by_ref)]
async fn ids_by_name(pool: &PgPool, names: &[String]) -> Vec<Option<u64>> {
    pool.execute().await;
    names.iter().map(|name| name.parse().ok()).collect()
}

#[batch(size = 100, delay_ms = 1, skip(pool), by_ref)]
async fn lengths(pool: &PgPool, names: &[&str]) -> Vec<usize> {
    pool.execute().await;
    names.iter().map(|name| name.len()).collect()
}

#[batch(size = 100, delay_ms = 1, skip(pool))]
async fn in_locale(
    pool: &PgPool,
    locale: &str,
    keys: Vec<String>,
) -> Result<Vec<String>, Arc<AppError>> {
    pool.execute().await;
    Ok(keys.iter().map(|key| format!("{locale}.{key}")).collect())
}

#[batch(size = 100, delay_ms = 1, eager, skip(pool))]
async fn exist(pool: Arc<PgPool>, ids: impl IntoIterator<Item = Uuid>) -> Vec<bool> {
    pool.execute().await;
    ids.into_iter().map(|id| !id.is_nil()).collect()
}

#[batch(size = 100, delay_ms = 1, skip(pool), share_err = piggyback::anyhow::shared)]
async fn prices(pool: &PgPool, tenant: Option<&str>, ids: Vec<u64>) -> anyhow::Result<Vec<f64>> {
    pool.execute().await;
    anyhow::ensure!(tenant.is_some(), "no tenant");
    Ok(ids.iter().map(|id| *id as f64).collect())
}

struct Loader {
    pool: PgPool,
}

/// As a GraphQL library has it: keys in, a map out.
#[async_trait::async_trait]
trait Load {
    type Error;
    async fn load(&self, key: UserId) -> Result<Option<User>, Self::Error>;
}

#[async_trait::async_trait]
impl Load for Arc<Loader> {
    type Error = Arc<AppError>;
    #[dedup(skip(self))]
    #[batch(size = 100, delay_ms = 1)]
    async fn load(&self, keys: &[UserId]) -> Result<HashMap<UserId, User>, Self::Error> {
        self.pool.execute().await;
        Ok(keys.iter().map(|key| (*key, user(key.0))).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn callers_ask_for_one_and_get_it() {
    let pool = &PgPool::default();
    let (a, b, c) = together!(
        pool,
        user_by_id(pool, 1),
        user_by_id(pool, 1),
        user_by_id(pool, 0)
    );
    assert_eq!(
        (a.unwrap(), b.unwrap(), c.unwrap()),
        (Some(user(1)), Some(user(1)), None)
    );
    let call = |id| user_by_row(pool, UserId(id));
    let (a, b) = together!(pool, call(1), call(0));
    assert_eq!((a.unwrap(), b.unwrap()), (Some(user(1)), None));
    let call = |id| orders_of(pool, UserId(id));
    assert_eq!(together!(pool, call(1), call(2)).1.unwrap().len(), 2);
    let call = |id| names(pool.clone(), UserId(id));
    assert_eq!(together!(pool, call(1), call(2)).1.unwrap(), "2");
    assert_eq!(
        together!(pool, ids_by_name(pool, "1"), ids_by_name(pool, "x")),
        (Some(1), None)
    );
    assert_eq!(
        together!(pool, lengths(pool, "1"), lengths(pool, "xy")),
        (1, 2)
    );
    let call = |locale, key: &str| in_locale(pool, locale, key.into());
    assert_eq!(
        together!(pool, call("en", "a"), call("en", "b")).1.unwrap(),
        "en.b"
    );
    assert_eq!(
        apart!(pool, call("en", "a"), call("de", "a")).1.unwrap(),
        "de.a"
    );
    let shared = Arc::new(pool.clone());
    let call = |id| exist(shared.clone(), Uuid::from_u128(id));
    assert_eq!(together!(pool, call(0), call(1)), (false, true));
    let (a, b) = together!(pool, prices(pool, None, 1), prices(pool, None, 2));
    assert_eq!(
        (a.unwrap_err().to_string(), b.unwrap_err().to_string()),
        ("no tenant".into(), "no tenant".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_graphql_loader_is_a_trait_method() {
    let loader = Arc::new(Loader {
        pool: PgPool::default(),
    });
    let call = |id| loader.load(UserId(id));
    let (a, _, c) = together!(loader.pool, call(1), call(1), call(2));
    assert_eq!((a.unwrap(), c.unwrap()), (Some(user(1)), Some(user(2))));
}
