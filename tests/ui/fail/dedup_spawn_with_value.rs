use piggyback::dedup;

#[dedup(spawn = true)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
