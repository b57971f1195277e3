use piggyback::dedup;

#[dedup]
async fn users(id: u64) -> impl Iterator<Item = u64> {
    std::iter::once(id)
}

fn main() {}
