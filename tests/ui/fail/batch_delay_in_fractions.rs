use piggyback::batch;
use std::time::Duration;

#[batch(size = 10, delay_ms = Duration::from_secs_f64(0.01))]
async fn save(users: Vec<u64>) {
    drop(users);
}

#[tokio::main]
async fn main() {
    save(1).await;
    tokio::time::sleep(Duration::ZERO).await;
}
