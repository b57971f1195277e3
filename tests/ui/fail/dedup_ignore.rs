use piggyback::dedup;

#[dedup(ignore = pool)]
async fn user(pool: &str, id: u64) -> u64 {
    let _ = pool;
    id
}

#[tokio::main]
async fn main() {
    user("", 1).await;
}
