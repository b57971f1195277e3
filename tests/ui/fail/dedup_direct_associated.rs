use piggyback::dedup;

struct Users;

impl Users {
    #[dedup(direct = user_now)]
    async fn user(id: u64) -> u64 {
        id
    }
}

fn main() {
    let _ = Users::user(1);
}
