use piggyback::batch;

struct NewSession {
    id: u64,
}

#[batch(size = 10, eager, by_ref)]
async fn save(sessions: &[NewSession]) -> Vec<u64> {
    sessions.iter().map(|session| session.id).collect()
}

fn main() {}
