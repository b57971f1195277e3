use piggyback::dedup;

#[dedup(skip(pool))]
async fn settings() -> u64 {
    1
}

#[tokio::main]
async fn main() {
    settings().await;
}
