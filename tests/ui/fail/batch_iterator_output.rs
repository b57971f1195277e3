use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn names(ids: Vec<u64>) -> impl Iterator<Item = String> {
    ids.into_iter().map(|id| id.to_string())
}

#[tokio::main]
async fn main() {
    let name: String = names(1).await;
    drop(name);
}
