use piggyback::{batch, dedup};

#[derive(Clone, PartialEq, Eq)]
struct Id(u64);

#[dedup]
#[batch(size = 10, eager)]
async fn load(ids: Vec<(u64, Id)>) -> Vec<u64> {
    ids.into_iter().map(|(tenant, id)| tenant + id.0).collect()
}

#[tokio::main]
async fn main() {
    load((1, Id(1))).await;
}
