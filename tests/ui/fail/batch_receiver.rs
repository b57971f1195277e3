use piggyback::batch;

struct Users {
    tenant: u64,
}

impl Users {
    #[batch(size = 10, delay_ms = 10, skip(self))]
    async fn save(&self, users: Vec<u64>) {
        let _ = (self.tenant, users);
    }
}

#[tokio::main]
async fn main() {
    Users { tenant: 1 }.save(1).await;
}
