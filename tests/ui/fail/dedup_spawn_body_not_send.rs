use piggyback::dedup;
use std::rc::Rc;

#[dedup(spawn)]
async fn user(id: u64) -> u64 {
    let id = Rc::new(id);
    tokio::task::yield_now().await;
    *id
}

fn main() {}
