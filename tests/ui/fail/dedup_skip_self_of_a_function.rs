use piggyback::dedup;

#[dedup(skip(self))]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
