use piggyback::dedup;
use std::sync::Arc;

enum AppError {
    NotFound,
    Shared(Arc<str>),
}

#[dedup(share_err = AppError::Shared)]
async fn user(id: u64) -> Result<u64, AppError> {
    if id == 0 { Err(AppError::NotFound) } else { Ok(id) }
}

#[tokio::main]
async fn main() {
    let _ = user(1).await;
}
