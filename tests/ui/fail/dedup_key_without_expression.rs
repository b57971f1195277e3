use piggyback::dedup;

#[dedup(key(user))]
async fn show(user: &str) -> usize {
    user.len()
}

fn main() {}
