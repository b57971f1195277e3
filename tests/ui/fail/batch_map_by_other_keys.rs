use piggyback::batch;
use std::collections::HashMap;

#[batch(size = 10, delay_ms = 10)]
async fn names(ids: &[u64]) -> Result<HashMap<i64, String>, String> {
    Ok(HashMap::with_capacity(ids.len()))
}

#[tokio::main]
async fn main() {
    let name: Option<String> = names(1).await.unwrap();
    drop(name);
}
