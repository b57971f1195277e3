use piggyback::{batch, dedup};
use std::sync::Arc;

#[derive(Clone)]
struct Pool;

#[derive(Clone)]
struct User {
    id: u64,
}

#[derive(Debug)]
enum AppError {
    Shared(Arc<AppError>),
}

#[dedup(skip(pool), share_err = AppError::Shared)]
async fn user(pool: &Pool, id: u64) -> Result<User, AppError> {
    let _pool = pool;
    Ok(User { id })
}

#[batch(size = 10, delay_ms = 10, skip(pool), share_err = AppError::Shared)]
async fn save_user(pool: &Pool, users: &[User]) -> Result<(), AppError> {
    let _pool = (pool, users);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AppError> {
    let user = user(&Pool, 1).await?;
    assert_eq!(user.id, 1);
    save_user(&Pool, user).await
}
