use piggyback::batch;

#[batch(size = 10, delay_ms = 10, items(id))]
async fn save(id: u64) {
    let _ = id;
}

fn main() {}
