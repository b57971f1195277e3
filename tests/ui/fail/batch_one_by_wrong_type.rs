use piggyback::batch;

#[batch(size = 10, delay_ms = 10, one_by = |row| row.to_string())]
async fn load(ids: Vec<u64>) -> Vec<u64> {
    ids
}

fn main() {}
