use piggyback::dedup;

struct Users {
    tenant: u64,
}

impl Users {
    #[dedup]
    async fn user(&mut self, id: u64) -> u64 {
        self.tenant + id
    }
}

#[tokio::main]
async fn main() {
    Users { tenant: 1 }.user(1).await;
}
