use piggyback::dedup;

struct Page {
    size: u64,
}

#[dedup(key(page = page.sise))]
async fn list(page: Page) -> u64 {
    page.size
}

fn main() {}
