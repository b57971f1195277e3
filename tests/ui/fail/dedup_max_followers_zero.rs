use piggyback::dedup;

#[dedup(max_followers = 0)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
