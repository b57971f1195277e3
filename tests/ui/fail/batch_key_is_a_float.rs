use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn save(rate: f64, users: Vec<u64>) {
    let _ = (rate, users);
}

fn main() {}
