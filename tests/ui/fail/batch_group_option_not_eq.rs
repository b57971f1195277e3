use piggyback::batch;

#[derive(Clone, Hash)]
struct Tenant(u64);

#[batch(size = 10, eager)]
async fn save(tenant: Option<Tenant>, ids: Vec<u64>) {
    let _ = (tenant.map(|tenant| tenant.0), ids);
}

#[tokio::main]
async fn main() {
    save(Some(Tenant(1)), 1).await;
}
