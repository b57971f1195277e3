use piggyback::dedup;

trait Users {
    #[dedup]
    async fn user(&self, id: u64) -> u64;
}

fn main() {}
