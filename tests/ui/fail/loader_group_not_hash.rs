use piggyback::{batch, dedup};

#[derive(Clone, PartialEq, Eq)]
struct Tenant(u64);

#[dedup]
#[batch(size = 10, delay_ms = 10)]
async fn load(tenant: Tenant, ids: Vec<u64>) -> Vec<u64> {
    let _ = tenant.0;
    ids
}

#[tokio::main]
async fn main() {
    load(Tenant(1), 1).await;
}
