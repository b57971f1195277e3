use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn save(ids: Vec<u64>) -> u64 {
    ids.len() as u64
}

#[tokio::main]
async fn main() {
    save(1).await;
}
