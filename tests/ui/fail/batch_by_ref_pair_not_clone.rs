use piggyback::batch;

struct Row(u64);

#[batch(size = 10, eager, by_ref)]
async fn save(rows: &[(u64, Row)]) -> Vec<u64> {
    rows.iter().map(|(id, row)| id + row.0).collect()
}

#[tokio::main]
async fn main() {
    save(&(1, Row(1))).await;
}
