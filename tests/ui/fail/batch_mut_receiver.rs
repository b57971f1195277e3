use piggyback::batch;

struct Users(u64);

impl Users {
    #[batch(size = 10, delay_ms = 10, key(self = self.0))]
    async fn save(&mut self, users: Vec<u64>) {
        self.0 += users.len() as u64;
    }
}

#[tokio::main]
async fn main() {
    Users(0).save(1).await;
}
