use piggyback::dedup;

#[dedup]
async fn user(id: u64) -> Result<u64, std::io::Error> {
    Ok(id)
}

#[tokio::main]
async fn main() {
    user(1).await.unwrap();
}
