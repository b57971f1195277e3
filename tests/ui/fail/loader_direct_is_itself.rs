use piggyback::{batch, dedup};

#[dedup]
#[batch(size = 10, delay_ms = 10, direct = load)]
async fn load(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[tokio::main]
async fn main() {
    load(1).await;
}
