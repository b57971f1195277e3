use piggyback::dedup;

#[dedup(share_err = std::convert::identity, clone_with = Clone::clone)]
async fn user(id: u64) -> Result<u64, std::sync::Arc<str>> {
    Ok(id)
}

fn main() {}
