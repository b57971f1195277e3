use piggyback::dedup;

#[dedup(direct = user)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
