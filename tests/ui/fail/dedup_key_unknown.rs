use piggyback::dedup;

#[dedup(key(usr = user.len()))]
async fn show(user: &str) -> usize {
    user.len()
}

fn main() {}
