use piggyback::dedup;

struct Pool;

struct Users {
    tenant: u64,
}

impl Users {
    fn pool(&self) -> Pool {
        Pool
    }

    #[dedup(skip(id, self.pool()))]
    async fn user(&self, id: u64) -> u64 {
        let _ = self.pool();
        self.tenant + id
    }
}

fn main() {}
