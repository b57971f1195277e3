use piggyback::batch;

#[batch(size = 10, delay_ms = 10, one_by = |row: &u64| *row, many_by = |row: &u64| *row)]
async fn load(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[tokio::main]
async fn main() {
    load(1).await;
}
