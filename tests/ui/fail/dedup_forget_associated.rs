use piggyback::dedup;

struct Users;

impl Users {
    #[dedup(forget = forget_user)]
    async fn user(id: u64) -> u64 {
        id
    }
}

#[tokio::main]
async fn main() {
    Users::user(1).await;
}
