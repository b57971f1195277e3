use piggyback::dedup;

#[dedup(across_err)]
async fn user(id: u64) -> Result<u64, String> {
    Ok(id)
}

fn main() {
    let _ = user(1);
}
