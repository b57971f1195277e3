use piggyback::dedup;

#[dedup(key(user = user.len() as f64))]
async fn show(user: &str) -> usize {
    user.len()
}

fn main() {}
