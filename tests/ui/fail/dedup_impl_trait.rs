use piggyback::dedup;

#[dedup]
async fn show(value: impl std::fmt::Display) -> String {
    value.to_string()
}

#[tokio::main]
async fn main() {
    show(1).await;
}
