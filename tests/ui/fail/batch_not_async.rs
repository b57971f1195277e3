use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
fn save(users: Vec<u64>) {
    drop(users);
}

fn main() {}
