use piggyback::dedup;

#[dedup(busy = "busy".to_owned())]
async fn user(id: u64) -> Result<u64, String> {
    Ok(id)
}

#[tokio::main]
async fn main() {
    let _ = user(1).await;
}
