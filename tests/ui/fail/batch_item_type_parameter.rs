use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn save<T>(rows: Vec<T>) {
    drop(rows);
}

#[tokio::main]
async fn main() {
    save(1).await;
}
