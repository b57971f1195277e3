use piggyback::batch;

#[derive(Clone)]
struct String(u8);

#[batch(size = 10, eager, by_ref)]
async fn save(names: Vec<String>) {
    drop(names);
}

fn main() {}
