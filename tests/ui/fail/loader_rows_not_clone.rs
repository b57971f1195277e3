use piggyback::{batch, dedup};

struct Post {
    author: u64,
}

#[dedup]
#[batch(size = 10, eager, many_by = |post| post.author)]
async fn posts(authors: Vec<u64>) -> Result<Vec<Post>, String> {
    Ok(authors.into_iter().map(|author| Post { author }).collect())
}

#[tokio::main]
async fn main() {
    posts(1).await.unwrap();
}
