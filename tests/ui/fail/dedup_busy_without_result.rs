use piggyback::dedup;

#[dedup(max_followers = 100, busy = "busy".to_owned())]
async fn user(id: u64) -> u64 {
    id
}

#[tokio::main]
async fn main() {
    user(1).await;
}
