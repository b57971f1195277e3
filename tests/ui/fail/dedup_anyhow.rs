use piggyback::dedup;

mod anyhow {
    pub struct Error;
    pub type Result<T> = std::result::Result<T, Error>;
}

#[dedup]
async fn port(name: &str) -> anyhow::Result<u16> {
    name.parse().map_err(|_| anyhow::Error)
}

#[tokio::main]
async fn main() {
    let _ = port("80").await;
}
