use piggyback::batch;
use std::collections::BTreeMap;

#[derive(Clone)]
struct Post {
    author: u64,
}

#[batch(size = 10, delay_ms = 10, many_by = |post: &Post| post.author)]
async fn posts(authors: Vec<u64>) -> Result<BTreeMap<u64, Post>, String> {
    Ok(authors
        .into_iter()
        .map(|author| (author, Post { author }))
        .collect())
}

#[tokio::main]
async fn main() {
    posts(1).await.unwrap();
}
