use piggyback::dedup;

pub struct Users {
    tenant: u64,
}

impl Users {
    #[dedup(key(self.tenant))]
    pub async fn count(&mut self) -> u64 {
        self.tenant
    }
}

fn main() {}
