//! `across` without the feature `fleet`: one error, whatever else the function has.

use piggyback::dedup;

static FLEET: &str = "a Fleet, if there were one";

#[dedup(across = FLEET, spawn, forget = forget_user)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {
    let _ = user(1);
    let _ = forget_user(1);
}
