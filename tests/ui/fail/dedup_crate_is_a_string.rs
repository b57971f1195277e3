use piggyback::dedup;

#[dedup(crate = "piggyback")]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
