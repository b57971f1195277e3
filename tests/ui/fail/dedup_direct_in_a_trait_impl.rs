use piggyback::dedup;

trait Users {
    async fn user(&self, id: u64) -> u64;
}

struct Stored;

impl Users for Stored {
    #[dedup(direct = user_now, skip(self))]
    async fn user(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
