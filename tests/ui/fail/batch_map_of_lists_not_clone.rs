use piggyback::batch;
use std::collections::HashMap;

struct Post(u64);

#[batch(size = 10, eager)]
async fn posts(authors: Vec<u64>) -> Result<HashMap<u64, Vec<Post>>, String> {
    Ok(authors.into_iter().map(|author| (author, vec![Post(author)])).collect())
}

#[tokio::main]
async fn main() {
    posts(1).await.unwrap();
}
