use piggyback::dedup;
use piggyback::fleet::Fleet;
use std::sync::LazyLock;

static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::local);

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tenant(u64);

#[dedup(across = FLEET)]
async fn report(tenant: Tenant, id: u64) -> u64 {
    tenant.0 + id
}

#[tokio::main]
async fn main() {
    report(Tenant(1), 2).await;
}
