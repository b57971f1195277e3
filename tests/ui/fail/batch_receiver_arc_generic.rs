use piggyback::batch;
use std::sync::Arc;

struct Service<T> {
    of: T,
}

impl<T> Service<T> {
    #[batch(size = 10, eager, skip(self))]
    async fn save(self: Arc<Self>, ids: Vec<u64>) -> Vec<u64> {
        let _ = &self.of;
        ids
    }
}

fn main() {}
