use piggyback::dedup;
use std::sync::Arc;

pub enum AppError {
    Shared(Arc<AppError>),
}

#[dedup(share_err = AppError::Shared)]
async fn age(id: u64) -> u8 {
    id as u8
}

#[tokio::main]
async fn main() {
    age(1).await;
}
