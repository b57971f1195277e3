use piggyback::dedup;
use piggyback::fleet::Fleet;
use serde::Serialize;
use std::sync::LazyLock;

static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::local);

#[derive(Clone, Serialize)]
pub enum Error {
    NotFound,
}

#[dedup(across = FLEET, across_err)]
async fn report(id: u64) -> Result<u64, Error> {
    if id == 0 { Err(Error::NotFound) } else { Ok(id) }
}

#[tokio::main]
async fn main() {
    let _ = report(1).await;
}
