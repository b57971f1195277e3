use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn save(rows: &[(i64, &str)]) {
    let _ = rows;
}

#[tokio::main]
async fn main() {
    save((1, "one")).await;
}
