use piggyback::dedup;

#[dedup(skip(a), skip(b))]
async fn user(a: f32, b: f32) -> u64 {
    (a + b) as u64
}

#[tokio::main]
async fn main() {
    user(1.0, 2.0).await;
}
