use piggyback::batch;
use std::collections::HashSet;

#[batch(size = 10, eager)]
async fn save(tags: &HashSet<String>, ids: Vec<u64>) {
    let _ = (tags, ids);
}

#[tokio::main]
async fn main() {
    save(&HashSet::new(), 1).await;
}
