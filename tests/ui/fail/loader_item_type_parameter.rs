use piggyback::{batch, dedup};

#[dedup]
#[batch(size = 10, delay_ms = 10)]
async fn load<T: Clone + Send + Sync + 'static>(ids: Vec<T>) -> Vec<u64> {
    vec![0; ids.len()]
}

#[tokio::main]
async fn main() {
    load(1).await;
}
