use piggyback::{dedup, dedup as once};

#[dedup]
#[once]
async fn name(id: u64) -> u64 {
    id
}

fn main() {}
