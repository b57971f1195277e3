use piggyback::dedup;
use std::future::Future;

#[dedup]
fn user(name: &str) -> impl Future<Output = usize> + use<> {
    let len = name.len();
    async move { len }
}

fn main() {}
