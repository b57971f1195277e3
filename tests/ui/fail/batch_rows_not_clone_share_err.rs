use piggyback::batch;
use std::sync::Arc;

struct User {
    id: u64,
}

enum AppError {
    Shared(Arc<AppError>),
}

#[batch(size = 10, delay_ms = 10, one_by = |user| user.id, share_err = AppError::Shared)]
async fn users(ids: Vec<u64>) -> Result<Vec<User>, AppError> {
    Ok(ids.into_iter().map(|id| User { id }).collect())
}

#[tokio::main]
async fn main() {
    let _ = users(1).await;
}
