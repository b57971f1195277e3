use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn load(ids: Vec<u64>) -> Option<Vec<u64>> {
    Some(ids)
}

fn main() {}
