use piggyback::{batch, dedup};

#[dedup]
#[batch(size = 10, delay_ms = 1, many = names)]
async fn name(ids: Vec<u64>) -> Vec<u64> {
    ids
}

#[tokio::main]
async fn main() {
    let _: Vec<u64> = names(vec![name(1).await]).await;
}
