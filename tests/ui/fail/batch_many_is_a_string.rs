use piggyback::batch;

#[batch(size = 10, delay_ms = 1, many = "save_all")]
async fn save(ids: Vec<u64>) -> Vec<u64> {
    ids
}

fn main() {}
