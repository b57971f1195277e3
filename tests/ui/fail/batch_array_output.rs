use piggyback::batch;

#[batch(size = 2, delay_ms = 10)]
async fn twice(ids: Vec<u64>) -> [u64; 2] {
    [ids[0] * 2, ids[1] * 2]
}

#[tokio::main]
async fn main() {
    twice(1).await;
}
