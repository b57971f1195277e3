use piggyback::batch;

enum AppError {
    Database,
}

#[batch(size = 10, delay_ms = 10)]
async fn save(ids: Vec<u64>) -> Result<(), AppError> {
    if ids.is_empty() { Err(AppError::Database) } else { Ok(()) }
}

#[tokio::main]
async fn main() {
    let _ = save(1).await;
}
