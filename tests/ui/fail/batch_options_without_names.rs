use piggyback::batch;

#[batch(100, 10)]
async fn save(users: Vec<u64>) {
    drop(users);
}

#[tokio::main]
async fn main() {
    save(1).await;
}
