use piggyback::dedup;
use piggyback::fleet::Fleet;
use std::sync::LazyLock;

static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::local);

#[derive(Clone)]
pub struct Report(u64);

#[dedup(across = FLEET)]
async fn report(id: u64) -> Result<Report, String> {
    Ok(Report(id))
}

#[tokio::main]
async fn main() {
    let _ = report(1).await;
}
