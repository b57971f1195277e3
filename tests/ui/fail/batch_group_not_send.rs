use piggyback::batch;
use std::rc::Rc;

#[batch(size = 10, delay_ms = 10)]
async fn save(tenant: Rc<str>, ids: Vec<u64>) {
    let _ = (tenant, ids);
}

#[tokio::main]
async fn main() {
    save("a".into(), 1).await;
}
