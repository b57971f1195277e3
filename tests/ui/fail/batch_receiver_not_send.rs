use piggyback::batch;
use std::marker::PhantomData;

struct Service<T> {
    of: PhantomData<T>,
}

impl<T> Clone for Service<T> {
    fn clone(&self) -> Self {
        Self { of: PhantomData }
    }
}

impl<T> Service<T> {
    #[batch(size = 10, eager, skip(self))]
    async fn save(&self, ids: Vec<u64>) -> Vec<u64> {
        let _ = self.of;
        ids
    }
}

fn main() {}
