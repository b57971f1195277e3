//! Repositories, services and clients: methods whose receivers hold a pool.

use super::stand_ins::model::{AppError, AppResult, Email, Filter, User, UserId, user};
use super::stand_ins::sqlx::{self, PgPool};
use piggyback::{Scope, batch, dedup};
use std::sync::Arc;
use uuid::Uuid;

struct UserRepository {
    pool: PgPool,
}

impl UserRepository {
    #[dedup(skip(self), share_err = AppError::Shared)]
    async fn find(&self, id: u64) -> Result<User, AppError> {
        Ok(user(self.pool.fetch_one(id).await?))
    }

    #[dedup(skip(self), share_err = AppError::Shared)]
    pub async fn find_by_email(&self, email: &Email) -> AppResult<Option<User>> {
        self.pool.execute().await;
        Ok((email.0 == "a").then(|| user(1)))
    }

    #[dedup(skip(self), share_err = |_| sqlx::Error::RowNotFound)]
    async fn exists(&self, id: UserId) -> sqlx::Result<bool> {
        Ok(self.pool.fetch_one(id.0).await? > 0)
    }

    #[dedup(skip(self), share_err = piggyback::anyhow::shared)]
    async fn list(&self, filter: Filter) -> anyhow::Result<Vec<User>> {
        self.pool.execute().await;
        Ok(vec![user(filter.page.into())])
    }

    #[dedup(skip(self))]
    async fn shared(self: Arc<Self>, id: u64) -> u64 {
        self.pool.execute().await;
        id
    }

    #[dedup(skip(self), spawn)]
    async fn outlives(self: Arc<Self>, id: u64, name: &str) -> String {
        self.pool.execute().await;
        format!("{id}{name}")
    }

    #[dedup(skip(self))]
    async fn counted(self: &Arc<Self>, id: Uuid) -> u128 {
        self.pool.execute().await;
        id.as_u128()
    }

    #[batch(size = 50, delay_ms = 5, skip(self), share_err = AppError::Shared)]
    async fn insert(self: Arc<Self>, users: &[User]) -> Result<(), AppError> {
        self.pool.fetch_one(users.len() as u64).await?;
        Ok(())
    }
}

/// One for each tenant.
#[derive(Clone)]
struct TenantService {
    pool: PgPool,
    tenant: String,
    scope: Scope,
}

impl TenantService {
    #[dedup(key(self = self.tenant))]
    async fn settings(&self, key: &str) -> String {
        self.pool.execute().await;
        format!("{}/{key}", self.tenant)
    }

    #[dedup(key(self = self.tenant.as_str()), share_err = AppError::Shared)]
    async fn owner(&self) -> AppResult<u64> {
        Ok(self.pool.fetch_one(1).await?)
    }

    #[dedup(scope = self.scope)]
    async fn own(&self, id: u64) -> u64 {
        self.pool.execute().await;
        id
    }

    #[batch(size = 10, delay_ms = 5, key(self = self.tenant))]
    async fn audit(&self, events: Vec<String>) -> Vec<String> {
        self.pool.execute().await;
        events
            .into_iter()
            .map(|event| format!("{}:{event}", self.tenant))
            .collect()
    }

    #[batch(size = 10, delay_ms = 5, scope = self.scope)]
    async fn touch(&self, ids: &[u64]) {
        self.pool.execute().await;
        assert!(!ids.is_empty());
    }
}

/// A repository over anything.
struct Repository<'a, S> {
    store: &'a S,
}

trait Store {
    async fn get(&self, id: u64) -> u64;
}

impl Store for PgPool {
    #[dedup(skip(self))]
    async fn get(&self, id: u64) -> u64 {
        self.execute().await;
        id
    }
}

impl<'a, S: Store> Repository<'a, S> {
    #[dedup(skip(self))]
    async fn get(&self, id: u64) -> u64 {
        self.store.get(id).await
    }
}

#[async_trait::async_trait]
trait Users {
    async fn name(&self, id: u64) -> AppResult<String>;
    async fn rename(&self, change: (u64, String)) -> AppResult<()>;
}

#[async_trait::async_trait]
impl Users for UserRepository {
    #[dedup(skip(self), share_err = AppError::Shared)]
    async fn name(&self, id: u64) -> AppResult<String> {
        Ok(user(self.pool.fetch_one(id).await?).name)
    }

    #[batch(size = 10, delay_ms = 5, skip(self), share_err = AppError::Shared)]
    async fn rename(&self, changes: &[(u64, String)]) -> AppResult<()> {
        self.pool.fetch_one(changes.len() as u64).await?;
        Ok(())
    }
}

impl Clone for UserRepository {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
        }
    }
}

/// A client of another service, made with a builder.
#[derive(Clone, Default)]
struct Client {
    pool: PgPool,
    base: String,
}

impl Client {
    fn base(mut self, base: &str) -> Self {
        base.clone_into(&mut self.base);
        self
    }

    #[dedup(key(self = self.base))]
    async fn get(&self, path: &str, query: &[(String, u32)]) -> Result<String, Arc<AppError>> {
        self.pool.execute().await;
        Ok(format!("{}{path}{}", self.base, query.len()))
    }

    #[dedup(key(self = self.base), max_age_ms = 1_000)]
    async fn token(self) -> Arc<str> {
        self.pool.execute().await;
        self.base.into()
    }

    #[dedup(key(self = self.base))]
    async fn refresh(&mut self) -> u8 {
        self.pool.execute().await;
        1
    }
}

#[tokio::test(start_paused = true)]
async fn repositories_are_interchangeable() {
    let pool = PgPool::default();
    let users = Arc::new(UserRepository { pool: pool.clone() });
    assert_eq!(
        together!(pool, users.find(1), users.find(1)).1.unwrap(),
        user(1)
    );
    apart!(pool, users.find(1), users.find(2)).1.unwrap();
    let email = Email("a".into());
    assert_eq!(
        together!(
            pool,
            users.find_by_email(&email),
            users.find_by_email(&email)
        )
        .1
        .unwrap(),
        Some(user(1))
    );
    assert!(
        together!(pool, users.exists(UserId(0)), users.exists(UserId(0)))
            .1
            .is_err()
    );
    assert_eq!(
        together!(
            pool,
            users.list(Filter::default()),
            users.list(Filter::default())
        )
        .1
        .unwrap(),
        [user(0)]
    );
    assert_eq!(
        together!(pool, users.clone().shared(1), users.clone().shared(1)),
        (1, 1)
    );
    assert_eq!(
        together!(
            pool,
            users.clone().outlives(1, "a"),
            users.clone().outlives(1, "a")
        )
        .1,
        "1a"
    );
    let id = Uuid::from_u128(5);
    assert_eq!(
        together!(pool, users.counted(id), users.counted(id)),
        (5, 5)
    );
    together!(
        pool,
        users.clone().insert(user(1)),
        users.clone().insert(user(2))
    )
    .1
    .unwrap();
    assert_eq!(
        together!(pool, users.name(1), users.name(1)).1.unwrap(),
        "user 1"
    );
    let rename = |id| users.rename((id, "x".into()));
    together!(pool, rename(1), rename(2), rename(3)).2.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tenants_are_kept_apart() {
    let pool = PgPool::default();
    let tenant = |tenant: &str| TenantService {
        pool: pool.clone(),
        tenant: tenant.into(),
        scope: Scope::new(),
    };
    let (a, again, b) = (tenant("a"), tenant("a"), tenant("b"));
    assert_eq!(
        together!(pool, a.settings("k"), again.settings("k")).1,
        "a/k"
    );
    assert_eq!(apart!(pool, a.settings("k"), b.settings("k")).1, "b/k");
    together!(pool, a.owner(), again.owner()).1.unwrap();
    let clone = a.clone();
    together!(pool, a.own(1), clone.own(1));
    apart!(pool, a.own(1), again.own(1));
    assert_eq!(
        together!(pool, a.audit("x".into()), again.audit("y".into())).1,
        "a:y"
    );
    assert_eq!(
        apart!(pool, a.audit("x".into()), b.audit("x".into())).1,
        "b:x"
    );
    together!(pool, a.touch(1), a.touch(2));
    apart!(pool, a.touch(1), again.touch(2));
}

#[tokio::test(start_paused = true)]
async fn generic_and_cloned_receivers_share() {
    let pool = PgPool::default();
    let repository = Repository { store: &pool };
    assert_eq!(
        together!(pool, repository.get(1), repository.get(1)),
        (1, 1)
    );
    assert_eq!(
        together!(pool, Store::get(&pool, 1), Store::get(&pool, 1)),
        (1, 1)
    );
    let client = Client {
        pool: pool.clone(),
        ..Client::default()
    }
    .base("http://");
    let query = [("q".to_owned(), 1)];
    let call = || client.get("a", &query);
    assert_eq!(together!(pool, call(), call()).1.unwrap(), "http://a1");
    together!(pool, client.clone().token(), client.clone().token());
    let (mut one, mut two) = (client.clone(), client.clone());
    assert_eq!(together!(pool, one.refresh(), two.refresh()), (1, 1));
}
