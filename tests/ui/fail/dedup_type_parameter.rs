use piggyback::dedup;

#[dedup]
async fn show<T: ToString>(value: T) -> String {
    value.to_string()
}

#[tokio::main]
async fn main() {
    show(1).await;
}
