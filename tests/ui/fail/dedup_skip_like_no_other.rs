use piggyback::dedup;

#[dedup(skip(connection))]
async fn users(group: u64, page: u64) -> u64 {
    group + page
}

#[tokio::main]
async fn main() {
    users(1, 1).await;
}
