use piggyback::dedup;

struct User(u64);

#[dedup(clone_with = Clone::clone)]
async fn user(id: u64) -> User {
    User(id)
}

fn main() {}
