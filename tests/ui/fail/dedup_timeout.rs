use piggyback::dedup;

#[dedup(timeout = 10)]
async fn user(id: u64) -> u64 {
    id
}

#[tokio::main]
async fn main() {
    user(1).await;
}
