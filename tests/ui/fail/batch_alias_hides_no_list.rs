use piggyback::batch;

struct Report;

#[batch(size = 10, delay_ms = 10)]
async fn load(ids: Vec<u64>) -> Report {
    let _ = ids;
    Report
}

fn main() {}
