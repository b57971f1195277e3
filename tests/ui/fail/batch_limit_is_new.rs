use piggyback::batch;

#[batch(size = 10, delay_ms = 1, limit = std::sync::Arc::new(tokio::sync::Semaphore::new(4)))]
async fn save(rows: Vec<u64>) {
    drop(rows);
}

fn main() {}
