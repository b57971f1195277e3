use piggyback::batch;

#[batch(size = 10, delay_ms = 10, max_followers = 100)]
async fn save(ids: Vec<u64>) {
    let _ = ids;
}

fn main() {}
