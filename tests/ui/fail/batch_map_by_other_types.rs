use piggyback::batch;
use std::collections::HashMap;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Id(u64);

#[batch(size = 10, delay_ms = 10)]
async fn names(ids: &[Id]) -> Result<HashMap<u64, String>, String> {
    Ok(ids.iter().map(|id| (id.0, id.0.to_string())).collect())
}

#[tokio::main]
async fn main() {
    let name: Option<String> = names(Id(1)).await.unwrap();
    drop(name);
}
