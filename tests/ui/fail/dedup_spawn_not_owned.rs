use piggyback::dedup;

#[dedup(spawn, skip(pool))]
async fn user(pool: &std::sync::Mutex<u64>, id: u64) -> u64 {
    *pool.lock().unwrap() + id
}

fn main() {}
