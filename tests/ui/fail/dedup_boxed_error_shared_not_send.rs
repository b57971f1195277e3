use piggyback::dedup;
use std::error::Error;

#[dedup(share_err = |error| error.to_string().into())]
async fn port(name: &str) -> Result<u16, Box<dyn Error>> {
    Ok(name.parse()?)
}

#[tokio::main]
async fn main() {
    port("80").await.unwrap();
}
