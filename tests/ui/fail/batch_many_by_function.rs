use piggyback::batch;

#[derive(Clone)]
struct Post(u64);

impl Post {
    fn author(&self) -> u64 {
        self.0
    }
}

#[batch(size = 10, eager, many_by = Post::author)]
async fn posts(authors: Vec<String>) -> Vec<Post> {
    authors.iter().map(|_| Post(1)).collect()
}

fn main() {}
