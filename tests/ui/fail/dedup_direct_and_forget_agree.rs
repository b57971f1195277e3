use piggyback::dedup;

#[dedup(direct = other, forget = other)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
