use piggyback::dedup;

#[dedup(name = users::by_id)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
