use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn store(payloads: Vec<&[u8]>) {
    drop(payloads);
}

#[tokio::main]
async fn main() {
    store(&[1]).await;
}
