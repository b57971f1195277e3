use piggyback::dedup;

#[dedup]
async fn name(users: &str) -> &str {
    users
}

#[tokio::main]
async fn main() {
    name("Ada").await;
}
