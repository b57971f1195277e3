use piggyback::{batch, dedup};

#[dedup(across = FLEET)]
#[batch(size = 10, eager)]
async fn user(ids: Vec<u64>) -> Vec<u64> {
    ids
}

fn main() {
    let _ = user(1);
}
