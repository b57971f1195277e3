use piggyback::dedup;
use piggyback::fleet::Fleet;
use std::sync::LazyLock;

static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::local);

static NAME: &str = "orders-prod";

#[dedup(across = NAME)]
async fn report(id: u64) -> u64 {
    id
}

#[tokio::main]
async fn main() {
    report(1).await;
}
