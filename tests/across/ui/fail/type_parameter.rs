use piggyback::dedup;
use piggyback::fleet::Fleet;
use std::sync::LazyLock;

static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::local);

use std::hash::Hash;

#[dedup(across = FLEET)]
async fn report<T: Clone + Hash + Eq + Send + Sync + 'static>(of: T) -> u64 {
    drop(of);
    1
}

#[tokio::main]
async fn main() {
    report(1).await;
}
