use piggyback::dedup;
use piggyback::fleet::Fleet;
use std::sync::LazyLock;

static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::local);

type ReportResult = Option<u64>;

#[dedup(across = FLEET, across_err)]
async fn report(id: u64) -> ReportResult {
    Some(id)
}

#[tokio::main]
async fn main() {
    report(1).await;
}
