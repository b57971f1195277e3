use piggyback::batch;

trait Users {
    async fn save(&self, users: &[u64]) -> Result<(), String>;
}

#[derive(Clone)]
struct Stored;

impl Users for Stored {
    #[batch(size = 10, eager, skip(self))]
    async fn save(&self, users: &[u64]) -> Result<(), String> {
        drop(users.to_vec());
        Ok(())
    }
}

fn main() {}
