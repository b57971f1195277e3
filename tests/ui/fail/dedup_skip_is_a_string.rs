use piggyback::dedup;

pub struct Pool;

#[dedup(skip("pool"))]
async fn count(pool: &mut Pool) -> u64 {
    let _ = pool;
    1
}

fn main() {}
