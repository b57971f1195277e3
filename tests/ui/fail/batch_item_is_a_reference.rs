use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn save(names: Vec<&str>) {
    drop(names);
}

#[tokio::main]
async fn main() {
    save("one").await;
}
