use piggyback::{batch, dedup};
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Query(u64);

#[dedup]
#[batch(size = 10, delay_ms = 10)]
async fn search(queries: Vec<Query>) -> BTreeMap<Query, u64> {
    queries.into_iter().map(|query| (query.clone(), query.0)).collect()
}

#[tokio::main]
async fn main() {
    search(Query(1)).await;
}
