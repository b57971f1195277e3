use piggyback::dedup;

struct User(u64);

type Result<T> = std::result::Result<T, String>;

#[dedup]
async fn user(id: u64) -> Result<User> {
    Ok(User(id))
}

#[tokio::main]
async fn main() {
    user(1).await.unwrap().0;
}
