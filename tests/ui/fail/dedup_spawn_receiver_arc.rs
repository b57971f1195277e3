use piggyback::dedup;
use std::cell::RefCell;
use std::sync::Arc;

struct Service {
    seen: RefCell<u64>,
}

impl Service {
    #[dedup(spawn, skip(self))]
    async fn next(self: &Arc<Self>, id: u64) -> u64 {
        self.seen.replace(id)
    }
}

fn main() {}
