use piggyback::dedup;

#[derive(Clone)]
enum AppError {
    Busy,
}

#[dedup(max_followers = 10, busy = AppError::busy())]
async fn user(id: u64) -> Result<u64, AppError> {
    if id == 0 { Err(AppError::Busy) } else { Ok(id) }
}

#[tokio::main]
async fn main() {
    let _ = user(1).await;
}
