use piggyback::dedup;
use std::collections::HashMap;

#[dedup]
async fn search(filters: HashMap<String, u64>) -> usize {
    filters.len()
}

#[tokio::main]
async fn main() {
    search(HashMap::new()).await;
}
