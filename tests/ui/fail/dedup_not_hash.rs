use piggyback::dedup;

#[derive(Clone, PartialEq, Eq)]
struct Query(u64);

#[dedup]
async fn search(page: u64, query: &Query) -> u64 {
    query.0 + page
}

#[tokio::main]
async fn main() {
    search(1, &Query(1)).await;
}
