use piggyback::dedup;

#[derive(PartialEq, Eq, Hash)]
struct Tenant(u64);

#[dedup(spawn)]
async fn user(tenant: &Tenant, id: u64) -> u64 {
    tenant.0 + id
}

#[tokio::main]
async fn main() {
    user(&Tenant(1), 1).await;
}
