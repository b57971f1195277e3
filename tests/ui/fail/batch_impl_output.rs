use piggyback::batch;
use std::fmt::Display;

#[batch(size = 10, delay_ms = 10, shared)]
async fn count(ids: Vec<u64>) -> impl Display {
    ids.len()
}

#[tokio::main]
async fn main() {
    count(1).await;
}
