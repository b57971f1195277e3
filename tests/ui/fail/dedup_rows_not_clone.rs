use piggyback::dedup;
use std::sync::Arc;

struct User(u64);

#[derive(Debug)]
enum AppError {
    Shared(Arc<AppError>),
}

#[dedup(share_err = AppError::Shared)]
async fn friends(id: u64) -> Result<Vec<User>, AppError> {
    Ok(vec![User(id)])
}

#[tokio::main]
async fn main() {
    friends(1).await.unwrap();
}
