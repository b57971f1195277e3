use piggyback::batch;

#[batch(size = 10, delay_ms = 1, limit)]
async fn save(rows: Vec<u64>) {
    drop(rows);
}

fn main() {}
