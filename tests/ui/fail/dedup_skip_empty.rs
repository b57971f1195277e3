use piggyback::dedup;

#[dedup(skip())]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
