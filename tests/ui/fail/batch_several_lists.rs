use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn save(ids: &[u64], names: Vec<String>) {
    let _ = (ids, names);
}

#[tokio::main]
async fn main() {
    save(1, String::new()).await;
}
