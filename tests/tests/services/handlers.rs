//! Handlers: extractors as patterns, whose bindings are the arguments.

use super::stand_ins::axum::{Extension, HeaderMap, Json, Path, Query, State};
use super::stand_ins::model::{AppError, AppResult, Filter, User, UserId, user};
use super::stand_ins::sqlx::PgPool;
use piggyback::{batch, dedup};
use std::sync::Arc;
use uuid::Uuid;

#[derive(Clone, Default)]
struct AppState {
    pool: PgPool,
}

#[dedup(skip(pool), share_err = AppError::Shared)]
async fn get_user(
    State(pool): State<PgPool>,
    Path(id): Path<u64>,
) -> Result<Json<Arc<User>>, AppError>
where
    Json<Arc<User>>: Clone,
{
    Ok(Json(Arc::new(user(pool.fetch_one(id).await?))))
}

impl Clone for Json<Arc<User>> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[dedup(skip(state), share_err = AppError::Shared)]
async fn get_user_by_state(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> AppResult<User> {
    Ok(user(state.pool.fetch_one(id.0).await?))
}

#[dedup(skip(state), share_err = AppError::Shared)]
async fn get_user_by_arc(
    State(state): State<Arc<AppState>>,
    Path(id): Path<u64>,
) -> AppResult<User> {
    Ok(user(state.pool.fetch_one(id).await?))
}

#[dedup(skip(pool), share_err = AppError::Shared)]
async fn get_order(
    State(pool): State<PgPool>,
    Path((tenant, id)): Path<(u64, Uuid)>,
) -> AppResult<String> {
    pool.fetch_one(tenant).await?;
    Ok(format!("{tenant}/{id}"))
}

#[dedup(skip(pool), share_err = AppError::Shared)]
async fn search(State(pool): State<PgPool>, Query(filter): Query<Filter>) -> AppResult<Vec<User>> {
    pool.execute().await;
    Ok(vec![user(u64::from(filter.page))])
}

#[dedup(skip(pool), share_err = AppError::Shared)]
async fn search_parts(
    State(pool): State<PgPool>,
    Query(Filter { text, page }): Query<Filter>,
) -> AppResult<String> {
    pool.execute().await;
    Ok(format!("{text:?} {page}"))
}

#[dedup(skip(pool, _headers))]
async fn version(State(pool): State<PgPool>, _headers: HeaderMap) -> &'static str {
    pool.execute().await;
    "1"
}

#[dedup(skip(pool))]
async fn health(Extension(pool): Extension<PgPool>) -> bool {
    pool.execute().await;
    true
}

#[dedup(skip(pool), key(user = user.id))]
async fn similar(State(pool): State<PgPool>, Json(user): Json<User>) -> Vec<u64> {
    pool.execute().await;
    vec![user.id, user.id + 1]
}

#[dedup(skip(state), spawn, share_err = AppError::Shared)]
async fn report(
    State(state): State<AppState>,
    Path(id): Path<u64>,
    _: HeaderMap,
) -> AppResult<String> {
    Ok(state.pool.fetch_one(id).await?.to_string())
}

#[dedup(skip(pool), max_age_ms = 50, max_followers = 100)]
async fn dashboard(State(pool): State<PgPool>, Path(tenant): Path<String>) -> Arc<str> {
    pool.execute().await;
    tenant.into()
}

#[batch(size = 100, delay_ms = 5, skip(pool), share_err = AppError::Shared)]
async fn post_user(State(pool): State<PgPool>, users: Vec<User>) -> AppResult<Vec<u64>> {
    pool.execute().await;
    Ok(users.iter().map(|user| user.id).collect())
}

#[tokio::test(start_paused = true)]
async fn handlers_share_by_what_their_extractors_hold() {
    let (pool, state) = (PgPool::default(), AppState::default());
    let (s, arc) = (|| State(pool.clone()), Arc::new(state.clone()));
    let (a, b) = together!(pool, get_user(s(), Path(1)), get_user(s(), Path(1)));
    assert!(Arc::ptr_eq(&a.unwrap().0, &b.unwrap().0));
    let (a, b) = apart!(pool, get_user(s(), Path(1)), get_user(s(), Path(2)));
    assert_eq!((a.unwrap().0.id, b.unwrap().0.id), (1, 2));
    let (a, b) = together!(pool, get_user(s(), Path(0)), get_user(s(), Path(0)));
    assert!(matches!(a, Err(AppError::Shared(_))) && matches!(b, Err(AppError::Shared(_))));
    let alone = get_user(s(), Path(0)).await;
    assert!(matches!(alone, Err(AppError::Database(_))));

    let call = || get_user_by_state(State(state.clone()), Path(UserId(1)));
    assert_eq!(together!(state.pool, call(), call()).1.unwrap(), user(1));
    let call = || get_user_by_arc(State(arc.clone()), Path(1));
    assert_eq!(together!(state.pool, call(), call()).1.unwrap(), user(1));
    let call = |n| get_order(s(), Path((1, Uuid::from_u128(n))));
    together!(pool, call(1), call(1)).1.unwrap();
    let (a, b) = apart!(pool, call(1), call(2));
    assert_ne!(a.unwrap(), b.unwrap());

    let filter = |page| Query(Filter { text: None, page });
    assert_eq!(
        together!(pool, search(s(), filter(1)), search(s(), filter(1)))
            .0
            .unwrap(),
        [user(1)]
    );
    apart!(pool, search(s(), filter(1)), search(s(), filter(2)))
        .0
        .unwrap();
    let call = |page| search_parts(s(), filter(page));
    assert_eq!(together!(pool, call(1), call(1)).1.unwrap(), "None 1");

    assert_eq!(
        together!(pool, version(s(), HeaderMap), version(s(), HeaderMap)),
        ("1", "1")
    );
    let e = || Extension(pool.clone());
    assert_eq!(together!(pool, health(e()), health(e())), (true, true));
    let call = |id| similar(s(), Json(user(id)));
    assert_eq!(together!(pool, call(1), call(1)).1, [1, 2]);
    let call = |id| report(State(state.clone()), Path(id), HeaderMap);
    assert_eq!(together!(state.pool, call(1), call(1)).1.unwrap(), "1");
    let call = |tenant: &str| dashboard(s(), Path(tenant.into()));
    assert_eq!(&*together!(pool, call("a"), call("a")).1, "a");
    let (a, b) = together!(pool, post_user(s(), user(1)), post_user(s(), user(2)));
    assert_eq!((a.unwrap(), b.unwrap()), (1, 2));
}
