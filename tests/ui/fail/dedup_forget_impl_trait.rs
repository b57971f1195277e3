use piggyback::dedup;

#[dedup(forget = forget_user, skip(pool))]
async fn user(pool: impl std::fmt::Display, id: u64) -> u64 {
    drop(pool);
    id
}

fn main() {}
