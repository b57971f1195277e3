use piggyback::dedup;
use std::collections::HashMap;

struct User(u64);

#[dedup]
async fn friends(id: u64) -> Option<HashMap<u64, User>> {
    Some(HashMap::from([(id, User(id))]))
}

#[tokio::main]
async fn main() {
    friends(1).await;
}
