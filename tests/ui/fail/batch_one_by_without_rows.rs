use piggyback::batch;

#[batch(size = 10, delay_ms = 10, one_by = |row: &u64| *row)]
async fn save(users: Vec<u64>) {
    drop(users);
}

fn main() {}
