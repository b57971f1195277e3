use piggyback::dedup;

#[dedup(concurrency = 4)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
