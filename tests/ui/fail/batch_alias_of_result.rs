use piggyback::batch;

enum AppError {
    Database,
}

type Res<T> = Result<T, AppError>;

#[batch(size = 10, delay_ms = 10)]
async fn save(ids: Vec<u64>) -> Res<()> {
    if ids.is_empty() { Err(AppError::Database) } else { Ok(()) }
}

#[tokio::main]
async fn main() {
    let _ = save(1).await;
}
