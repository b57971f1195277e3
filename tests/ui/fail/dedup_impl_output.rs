use piggyback::dedup;

#[dedup]
async fn user(id: u64) -> impl std::fmt::Debug {
    id
}

fn main() {}
