use piggyback::dedup;

#[dedup]
async fn user(name: impl AsRef<str>) -> usize {
    name.as_ref().len()
}

#[tokio::main]
async fn main() {
    user("a").await;
}
