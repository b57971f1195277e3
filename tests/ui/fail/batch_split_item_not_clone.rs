use piggyback::batch;

struct Row(u64);

#[batch(size = 10, delay_ms = 10, split_on_err)]
async fn save(rows: Vec<Row>) -> Result<(), std::io::Error> {
    drop(rows);
    Ok(())
}

#[tokio::main]
async fn main() {
    save(Row(1)).await.unwrap();
}
