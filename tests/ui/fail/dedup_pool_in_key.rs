use piggyback::dedup;

#[derive(Clone)]
struct Pool;

#[dedup]
async fn user(pool: Pool, id: u64) -> u64 {
    let _ = pool;
    id
}

#[tokio::main]
async fn main() {
    user(Pool, 1).await;
}
