use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn save() {}

#[tokio::main]
async fn main() {
    save().await;
}
