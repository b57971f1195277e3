use piggyback::batch;

#[batch(size = 10, delay_ms = 10, sort_by = |price| *price)]
async fn save(prices: Vec<f64>) {
    drop(prices);
}

#[tokio::main]
async fn main() {
    save(1.0).await;
}
