use piggyback::dedup;

enum AppError {
    NotFound,
}

type Res<T> = Result<T, AppError>;

#[dedup]
async fn user(id: u64) -> Res<u64> {
    if id == 0 { Err(AppError::NotFound) } else { Ok(id) }
}

#[tokio::main]
async fn main() {
    let _ = user(1).await;
}
