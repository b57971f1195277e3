use piggyback::batch;

#[batch(size = 10, eager, across = FLEET)]
async fn user(ids: Vec<u64>) -> Vec<u64> {
    ids
}

fn main() {
    let _ = user(1);
}
