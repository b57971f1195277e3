use piggyback::batch;

enum AppError {
    Taken,
    Database,
}

#[batch(size = 10, delay_ms = 10, split_on_err = |error| matches!(error, AppError::Taken))]
async fn save(ids: Vec<u64>) -> Result<(), AppError> {
    match ids.len() {
        0 => Err(AppError::Database),
        1 => Err(AppError::Taken),
        _ => Ok(()),
    }
}

#[tokio::main]
async fn main() {
    let _ = save(1).await;
}
