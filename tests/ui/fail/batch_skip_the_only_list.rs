use piggyback::batch;

#[batch(size = 10, delay_ms = 10, skip(pool, users))]
async fn save(pool: &Pool, users: Vec<u64>) {
    let _ = (pool, users);
}

#[derive(Clone)]
struct Pool;

fn main() {}
