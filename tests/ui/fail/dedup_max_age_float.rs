use piggyback::dedup;

#[dedup(max_age_ms = 0.5)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
