use piggyback::batch;
use std::collections::HashMap;

#[batch(size = 10, delay_ms = 10, one_by = |row| row.0)]
async fn names(ids: Vec<u64>) -> Result<HashMap<u64, String>, String> {
    Ok(ids.into_iter().map(|id| (id, id.to_string())).collect())
}

#[tokio::main]
async fn main() {
    let name: Option<String> = names(1).await.unwrap();
    drop(name);
}
