use piggyback::batch;

#[derive(Clone, PartialEq, Eq)]
struct Tenant(u64);

#[batch(size = 10, delay_ms = 10)]
async fn save(tenant: Tenant, ids: Vec<u64>) {
    let _ = (tenant.0, ids);
}

#[tokio::main]
async fn main() {
    save(Tenant(1), 1).await;
}
