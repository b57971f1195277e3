use piggyback::batch;

#[batch(max_batch_size = 100, delay_ms = 10)]
async fn save(users: Vec<u64>) {
    drop(users);
}

#[tokio::main]
async fn main() {
    save(1).await;
}
