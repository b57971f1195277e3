use piggyback::{batch, dedup};

#[derive(Clone, PartialEq, Eq)]
struct Query(u64);

#[dedup]
#[batch(size = 10, delay_ms = 10)]
async fn search(queries: Vec<Query>) -> Vec<u64> {
    queries.into_iter().map(|query| query.0).collect()
}

#[tokio::main]
async fn main() {
    search(Query(1)).await;
}
