use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn load(ids: Vec<u64>) -> std::collections::HashMap<u64, Row> {
    ids.into_iter().map(|id| (id, Row)).collect()
}

struct Row;

fn main() {}
