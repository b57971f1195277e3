use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn load(ids: &[u64]) -> Vec<&u64> {
    ids.iter().collect()
}

fn main() {}
