use piggyback::batch;

#[batch(size = 10, delay_ms = 10, max_waiting = 100, busy = "busy".to_owned())]
async fn save(users: Vec<u64>) -> Vec<u64> {
    users
}

#[tokio::main]
async fn main() {
    save(1).await;
}
