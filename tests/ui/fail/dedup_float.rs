use piggyback::dedup;

#[dedup]
async fn price(rate: f64) -> u64 {
    rate as u64
}

#[tokio::main]
async fn main() {
    price(1.0).await;
}
