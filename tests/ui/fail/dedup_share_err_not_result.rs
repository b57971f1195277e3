use piggyback::dedup;
use std::sync::Arc;

pub enum AppError {
    NotFound,
    Shared(Arc<AppError>),
}

#[dedup(share_err = AppError::Shared)]
async fn user(id: u64) -> Option<u64> {
    Some(id)
}

#[tokio::main]
async fn main() {
    user(1).await;
}
