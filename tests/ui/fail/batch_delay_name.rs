use piggyback::batch;

#[batch(size = 10, delay = 10)]
async fn save(users: Vec<u64>) {
    drop(users);
}

fn main() {}
