use piggyback::dedup;

#[dedup(retries = 3)]
async fn user(id: u64) -> u64 {
    id
}

#[tokio::main]
async fn main() {
    user(1).await;
}
