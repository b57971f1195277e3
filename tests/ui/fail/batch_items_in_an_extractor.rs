use piggyback::batch;

struct Json<T>(T);

#[batch(size = 10, eager)]
async fn save(Json(ids): Json<Vec<u64>>) -> Vec<u64> {
    ids
}

fn main() {}
