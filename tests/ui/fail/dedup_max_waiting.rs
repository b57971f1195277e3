use piggyback::dedup;

#[dedup(max_waiting = 100)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
