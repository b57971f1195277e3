use piggyback::dedup;

#[dedup(delay_ms = 10)]
async fn user(id: u64) -> u64 {
    id
}

#[tokio::main]
async fn main() {
    user(1).await;
}
