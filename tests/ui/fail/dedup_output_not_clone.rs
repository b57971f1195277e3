use piggyback::dedup;

struct User;

#[dedup]
async fn user(_id: u64) -> User {
    User
}

#[tokio::main]
async fn main() {
    user(1).await;
}
