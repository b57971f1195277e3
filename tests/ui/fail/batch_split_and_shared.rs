use piggyback::batch;

#[batch(size = 10, delay_ms = 10, split_on_err, shared)]
async fn save(users: Vec<u64>) -> Result<usize, String> {
    Ok(users.len())
}

fn main() {}
