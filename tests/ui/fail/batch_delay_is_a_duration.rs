use piggyback::batch;
use std::time::Duration;

#[batch(size = 10, delay_ms = Duration::from_millis(5))]
async fn load(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[tokio::main]
async fn main() {
    load(1).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
}
