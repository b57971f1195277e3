use piggyback::dedup;
use std::sync::Arc;

#[dedup]
async fn load<T: Default>(id: u64) -> Result<Arc<T>, String> {
    if id == 0 { Err("none".to_owned()) } else { Ok(Arc::default()) }
}

#[tokio::main]
async fn main() {
    load::<u8>(1).await.unwrap();
}
