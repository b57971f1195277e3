use piggyback::batch;
use tokio::sync::Semaphore;

static PERMITS: Semaphore = Semaphore::const_new(5);

#[batch(size = 10, delay_ms = 1, limit = PERMITS)]
async fn save(rows: Vec<u64>) {
    drop(rows);
}

fn main() {}
