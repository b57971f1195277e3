use piggyback::dedup;

#[dedup]
async fn near(lat: Option<f64>) -> bool {
    lat.is_some()
}

#[tokio::main]
async fn main() {
    near(None).await;
}
