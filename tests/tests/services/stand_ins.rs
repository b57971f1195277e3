//! Stand-ins for the crates that these signatures come from: the same names and shapes, and no more traits than
//! the originals have.

/// Extractors: none of them is a key, what they hold may be.
pub mod axum {
    pub struct State<S>(pub S);
    pub struct Path<T>(pub T);
    pub struct Query<T>(pub T);
    pub struct Json<T>(pub T);
    pub struct Extension<T>(pub T);
    pub struct HeaderMap;
}

/// A pool that counts executions, connections that are not `Clone`, and an error that is not `Clone` either.
pub mod sqlx {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[derive(Debug)]
    pub enum Error {
        RowNotFound,
    }

    impl std::fmt::Display for Error {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no rows returned")
        }
    }

    impl std::error::Error for Error {}

    pub type Result<T, E = Error> = std::result::Result<T, E>;

    #[derive(Debug, Clone, Default)]
    pub struct PgPool(Arc<AtomicUsize>);

    impl PgPool {
        pub fn executions(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
        /// A statement, which takes a while.
        pub async fn execute(&self) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        /// A row by its id; 0 has none.
        pub async fn fetch_one(&self, id: u64) -> Result<u64> {
            self.execute().await;
            if id == 0 {
                return Err(Error::RowNotFound);
            }
            Ok(id)
        }
        pub fn acquire(&self) -> PgConnection {
            PgConnection(self.clone())
        }
    }

    pub struct PgConnection(PgPool);

    impl PgConnection {
        pub async fn fetch_one(&mut self, id: u64) -> Result<u64> {
            self.0.fetch_one(id).await
        }
    }

    pub struct Transaction<'c> {
        pub connection: &'c mut PgConnection,
    }
}

pub mod diesel_async {
    use super::sqlx;
    use std::future::Future;

    pub trait AsyncConnection: Send {
        fn load(&mut self, id: u64) -> impl Future<Output = sqlx::Result<u64>> + Send;
    }

    impl AsyncConnection for sqlx::PgConnection {
        async fn load(&mut self, id: u64) -> sqlx::Result<u64> {
            self.fetch_one(id).await
        }
    }
}

pub mod aws_sdk_sqs {
    #[derive(Debug, Clone)]
    pub struct SendMessageBatchRequestEntry {
        pub id: String,
        pub message_body: String,
    }
    #[derive(Debug, Clone)]
    pub struct SdkError;
    #[derive(Clone)]
    pub struct Client(pub super::sqlx::PgPool);
}

/// The service's own types.
pub mod model {
    use super::sqlx;
    use std::sync::Arc;
    use uuid::Uuid;

    #[derive(Debug, Clone, PartialEq)]
    pub struct User {
        pub id: u64,
        pub name: String,
        pub rating: f64,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct UserId(pub u64);

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    pub struct Email(pub String);

    #[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
    pub struct Filter {
        pub text: Option<String>,
        pub page: u32,
    }

    #[derive(Debug, Clone, PartialEq)]
    pub struct Order {
        pub id: Uuid,
        pub user: UserId,
    }

    #[derive(Debug, thiserror::Error)]
    pub enum AppError {
        #[error(transparent)]
        Database(#[from] sqlx::Error),
        #[error("not found")]
        NotFound,
        #[error(transparent)]
        Shared(Arc<AppError>),
    }

    pub type AppResult<T> = Result<T, AppError>;

    pub fn user(id: u64) -> User {
        User {
            id,
            name: format!("user {id}"),
            rating: 0.5,
        }
    }
}
