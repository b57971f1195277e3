use piggyback::dedup;

#[dedup(across = &Fleet::new("orders", engine()).with_build("1"), forget = forget_user)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {
    let _ = user(1);
    let _ = forget_user(1);
}
