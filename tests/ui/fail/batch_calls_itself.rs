use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn depth(ids: Vec<u64>) -> Vec<u64> {
    let mut depths = Vec::new();
    for id in ids {
        depths.push(if id == 0 { 0 } else { Box::pin(depth(id - 1)).await + 1 });
    }
    depths
}

#[tokio::main]
async fn main() {
    depth(1).await;
}
