use piggyback::batch;

mod eyre {
    pub struct Report;
}

#[batch(size = 10, delay_ms = 10)]
async fn save(rows: Vec<u64>) -> Result<(), eyre::Report> {
    drop(rows);
    Ok(())
}

#[tokio::main]
async fn main() {
    let _ = save(1).await;
}
