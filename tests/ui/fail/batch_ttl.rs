use piggyback::batch;

#[batch(size = 10, delay_ms = 10, ttl_ms = 5)]
async fn load(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[tokio::main]
async fn main() {
    load(1).await;
}
