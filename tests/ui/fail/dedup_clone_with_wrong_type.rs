use piggyback::dedup;

#[dedup(clone_with = String::clone)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
