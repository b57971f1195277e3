use piggyback::dedup;

#[dedup(skip = pool)]
async fn user(pool: &str, id: u64) -> u64 {
    id + pool.len() as u64
}

#[tokio::main]
async fn main() {
    user("", 1).await;
}
