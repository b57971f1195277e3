use piggyback::batch;
use std::rc::Rc;

#[batch(size = 10, delay_ms = 10)]
async fn save(ids: Vec<Rc<u64>>) {
    drop(ids);
}

#[tokio::main]
async fn main() {
    save(Rc::new(1)).await;
}
