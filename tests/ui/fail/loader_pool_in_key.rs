use piggyback::{batch, dedup};

#[derive(Clone)]
struct Database;

#[dedup]
#[batch(size = 10, eager)]
async fn names(ids: Vec<u64>, pool: &Database) -> Vec<String> {
    let _ = pool;
    ids.into_iter().map(|id| id.to_string()).collect()
}

#[tokio::main]
async fn main() {
    names(1, &Database).await;
}
