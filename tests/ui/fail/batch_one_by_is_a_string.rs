use piggyback::batch;

#[batch(size = 10, delay_ms = 10, one_by = "id")]
async fn users(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[tokio::main]
async fn main() {
    let user: Option<u64> = users(1).await;
    let _ = user;
}
