use piggyback::batch;

#[derive(Clone)]
struct Users {
    rate: f64,
}

impl Users {
    #[batch(size = 10, delay_ms = 10)]
    async fn save(&self, users: Vec<u64>) {
        let _ = (self.rate, users);
    }
}

#[tokio::main]
async fn main() {
    Users { rate: 1.0 }.save(1).await;
}
