use piggyback::dedup;

#[derive(Clone, PartialEq, Eq)]
struct Filter(u64);

#[dedup]
async fn search(filters: &[Filter]) -> usize {
    filters.len()
}

#[tokio::main]
async fn main() {
    search(&[Filter(1)]).await;
}
