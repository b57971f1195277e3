use piggyback::dedup;

pub struct User {
    id: u64,
}

#[dedup(key(user.id))]
async fn show(user: &User) -> u64 {
    user.id
}

fn main() {}
