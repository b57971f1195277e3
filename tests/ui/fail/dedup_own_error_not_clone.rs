use piggyback::dedup;

#[derive(Debug)]
enum AppError {
    NotFound,
}

#[dedup]
async fn user(id: u64) -> Result<u64, AppError> {
    if id == 0 { Err(AppError::NotFound) } else { Ok(id) }
}

#[tokio::main]
async fn main() {
    let _ = user(1).await;
}
