use piggyback::dedup;
use piggyback::fleet::Fleet;
use std::sync::LazyLock;

static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::local);

#[derive(Clone)]
pub struct Report(u64);

#[dedup(across = FLEET)]
async fn reports(id: u64) -> Result<Vec<Report>, String> {
    Ok(vec![Report(id)])
}

#[tokio::main]
async fn main() {
    let _ = reports(1).await;
}
