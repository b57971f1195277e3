use piggyback::dedup;

#[dedup(skip(&pool.inner))]
async fn user(pool: &u8, id: u64) -> u64 {
    let _ = pool;
    id
}

fn main() {}
