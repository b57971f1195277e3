use piggyback::batch;

#[batch(size = 10, eager, item_by = |new| new.0)]
async fn save(users: Vec<(u64, String)>) -> Vec<u64> {
    users.into_iter().map(|(id, _)| id).collect()
}

fn main() {}
