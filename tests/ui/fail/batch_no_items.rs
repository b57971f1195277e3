use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn save(user: u64) {
    let _ = user;
}

#[tokio::main]
async fn main() {
    save(1).await;
}
