use piggyback::{batch, dedup};
use std::collections::HashMap;

#[dedup]
#[batch(size = 10, delay_ms = 10)]
async fn names(ids: Vec<u64>) -> Result<HashMap<u64, String>, std::io::Error> {
    Ok(ids.into_iter().map(|id| (id, id.to_string())).collect())
}

#[tokio::main]
async fn main() {
    names(1).await.unwrap();
}
