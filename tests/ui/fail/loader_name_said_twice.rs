use piggyback::{batch, dedup};

#[dedup(name = "users.one")]
#[batch(size = 10, delay_ms = 10, name = "users.all")]
async fn load(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[tokio::main]
async fn main() {
    load(1).await;
}
