use piggyback::batch;

#[batch(size = 10, delay_ms = 10)]
async fn store<'a>(files: Vec<(&'a str, &'a [u8])>) {
    drop(files);
}

#[tokio::main]
async fn main() {
    store(("a", &[1])).await;
}
