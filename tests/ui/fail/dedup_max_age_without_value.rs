use piggyback::dedup;

#[dedup(max_age_ms)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
