use piggyback::batch;

#[batch(size = 10, delay_ms = 10, max_waiting = 5, busy = "busy".to_owned())]
async fn save(users: Vec<u64>) -> Result<(), String> {
    drop(users);
    Ok(())
}

#[tokio::main]
async fn main() {
    let _ = save(1).await;
}
