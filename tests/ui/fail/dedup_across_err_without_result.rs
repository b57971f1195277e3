use piggyback::dedup;

#[dedup(across = FLEET, across_err)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {
    let _ = user(1);
}
