use piggyback::batch;

#[batch(size = "ten", delay_ms = 10)]
async fn save(users: Vec<u64>) {
    drop(users);
}

fn main() {}
