use piggyback::{batch, dedup};

#[dedup]
#[batch(size = 10, eager, limit = &std::sync::Arc::new(tokio::sync::Semaphore::new(4)))]
async fn find(ids: Vec<u64>) -> Vec<u64> {
    ids
}

fn main() {}
