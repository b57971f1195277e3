use piggyback::batch;
use std::sync::Arc;

pub enum AppError {
    NotFound,
    Shared(Arc<AppError>),
}

#[batch(size = 10, delay_ms = 10, share_err = AppError::Shared)]
async fn load(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[tokio::main]
async fn main() {
    load(1).await;
}
