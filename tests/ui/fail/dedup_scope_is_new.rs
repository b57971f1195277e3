use piggyback::{Scope, dedup};

#[dedup(scope = Scope::new())]
async fn user(id: u64) -> u64 {
    id
}

#[tokio::main]
async fn main() {
    let _ = Scope::new();
    user(1).await;
}
