use piggyback::batch;

struct Row(u64);

#[batch(size = 10, eager, split_on_err)]
async fn save(rows: &[(u64, Row)]) -> Result<(), std::io::Error> {
    let _ = rows.iter().map(|(id, row)| id + row.0);
    Ok(())
}

#[tokio::main]
async fn main() {
    save((1, Row(1))).await.unwrap();
}
