use piggyback::batch;
use std::sync::Arc;

#[derive(Clone)]
struct Service<T> {
    of: Arc<T>,
}

impl<T: Send + Sync + 'static> Service<T> {
    #[batch(size = 10, eager, skip(self))]
    async fn save(&self, ids: Vec<u64>) -> Vec<u64> {
        let _ = &self.of;
        ids
    }
}

fn main() {}
