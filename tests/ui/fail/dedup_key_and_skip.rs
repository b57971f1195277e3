use piggyback::dedup;

#[dedup(skip(user), key(user = user.len()))]
async fn show(user: &str) -> usize {
    user.len()
}

fn main() {}
