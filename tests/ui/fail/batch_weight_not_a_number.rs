use piggyback::batch;

#[batch(size = 10, delay_ms = 10, weight = |_| "heavy", max_weight = 10)]
async fn save(users: Vec<u64>) {
    drop(users);
}

fn main() {}
