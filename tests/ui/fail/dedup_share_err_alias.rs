use piggyback::dedup;
use std::sync::Arc;

pub type Age = u8;

pub enum AppError {
    Shared(Arc<AppError>),
}

#[dedup(share_err = AppError::Shared)]
async fn age(id: u64) -> Age {
    id as u8
}

#[tokio::main]
async fn main() {
    age(1).await;
}
