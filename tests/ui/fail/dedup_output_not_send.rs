use piggyback::dedup;
use std::rc::Rc;

#[dedup]
async fn user(id: u64) -> Rc<u64> {
    Rc::new(id)
}

#[tokio::main]
async fn main() {
    user(1).await;
}
