use piggyback::batch;

#[batch(size = 10, delay_ms = 10, weight = |row: &String| row.len())]
async fn save(rows: Vec<String>) {
    drop(rows);
}

#[tokio::main]
async fn main() {
    save(String::new()).await;
}
