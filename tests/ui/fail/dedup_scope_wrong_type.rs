use piggyback::dedup;

#[dedup(scope = id)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
