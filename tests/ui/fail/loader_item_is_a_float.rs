use piggyback::{batch, dedup};

#[dedup]
#[batch(size = 10, delay_ms = 10)]
async fn squares(numbers: Vec<f64>) -> Vec<f64> {
    numbers.into_iter().map(|number| number * number).collect()
}

#[tokio::main]
async fn main() {
    squares(1.5).await;
}
