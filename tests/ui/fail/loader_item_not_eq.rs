use piggyback::{batch, dedup};

#[derive(Clone, Hash)]
struct Query(u64);

#[batch(size = 10, delay_ms = 10, by_ref)]
#[dedup]
async fn search(queries: &[Query]) -> Vec<u64> {
    queries.iter().map(|query| query.0).collect()
}

#[tokio::main]
async fn main() {
    search(&Query(1)).await;
}
