use piggyback::dedup;

struct Pool;

struct Users {
    tenant: u64,
    pool: Pool,
}

impl Users {
    #[dedup(skip(self.pool))]
    async fn user(&self, id: u64) -> u64 {
        let _ = &self.pool;
        self.tenant + id
    }
}

fn main() {}
