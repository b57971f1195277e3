use piggyback::batch;

struct Saved(usize);
type Report = Saved;

#[batch(size = 10, delay_ms = 10)]
async fn save(users: &[u64]) -> Report {
    Saved(users.len())
}

fn main() {}
