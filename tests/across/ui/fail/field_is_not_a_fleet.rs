use piggyback::dedup;
use piggyback::fleet::Fleet;
use std::sync::LazyLock;

static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::local);

struct Reports {
    fleet: Option<Fleet>,
}

impl Reports {
    #[dedup(across = self.fleet, skip(self), spawn)]
    async fn report(self: std::sync::Arc<Self>, id: u64) -> u64 {
        id
    }
}

#[tokio::main]
async fn main() {
    std::sync::Arc::new(Reports { fleet: None }).report(1).await;
}
