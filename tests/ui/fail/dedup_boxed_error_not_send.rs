use piggyback::dedup;
use std::error::Error;

#[dedup]
async fn port(name: &str) -> Result<u16, Box<dyn Error>> {
    Ok(name.parse()?)
}

#[tokio::main]
async fn main() {
    port("80").await.unwrap();
}
