use piggyback::batch;

#[batch(size = 10, max_delay_ms = 10)]
async fn save(users: Vec<u64>) {
    drop(users);
}

fn main() {}
