use piggyback::dedup;

#[dedup(skip(pool, pool))]
async fn user(pool: u64, id: u64) -> u64 {
    pool + id
}

#[tokio::main]
async fn main() {
    user(1, 1).await;
}
