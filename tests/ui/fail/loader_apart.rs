use piggyback::{batch as in_bulk, dedup as once};

#[once]
#[tracing::instrument]
#[in_bulk(size = 10, delay_ms = 10)]
async fn names(ids: Vec<u64>) -> Vec<u64> {
    ids
}

fn main() {}
