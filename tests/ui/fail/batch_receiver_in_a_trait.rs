use piggyback::batch;

trait Users {
    #[batch(size = 10, eager, skip(self))]
    async fn save(&self, ids: Vec<u64>) -> Vec<u64> {
        ids
    }
}

fn main() {}
