use std::sync::Arc;

use piggyback::batch;
use tokio::sync::Semaphore;

#[batch(size = 10, delay_ms = 1, limit = Arc::new(Semaphore::new(4)))]
async fn save(rows: Vec<u64>) {
    drop(rows);
}

fn main() {}
