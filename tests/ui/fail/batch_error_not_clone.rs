use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn save(ids: Vec<u64>) -> Result<(), std::io::Error> {
    drop(ids);
    Ok(())
}

#[tokio::main]
async fn main() {
    save(1).await.unwrap();
}
