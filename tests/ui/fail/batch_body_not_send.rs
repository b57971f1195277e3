use piggyback::batch;
use std::rc::Rc;

#[batch(size = 10, eager)]
async fn save(ids: Vec<u64>) -> Vec<u64> {
    let ids = Rc::new(ids);
    tokio::task::yield_now().await;
    ids.to_vec()
}

fn main() {}
