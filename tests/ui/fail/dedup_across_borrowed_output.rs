use piggyback::dedup;

#[dedup(across = FLEET)]
async fn name(id: u64) -> Result<Vec<&'static str>, &'static str> {
    if id == 0 { Err("no such name") } else { Ok(vec!["a name"]) }
}

fn main() {
    let _ = name(1);
}
