use piggyback::dedup;

#[dedup(skip(pool), skip(trace))]
async fn user(pool: &str, trace: &str, id: u64) -> u64 {
    id + (pool.len() + trace.len()) as u64
}

#[tokio::main]
async fn main() {
    user("", "", 1).await;
}
