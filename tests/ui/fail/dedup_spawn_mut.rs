use piggyback::dedup;

#[dedup(spawn, skip(pool))]
async fn user(pool: &mut u64, id: u64) -> u64 {
    *pool + id
}

fn main() {}
