use piggyback::batch;

struct Json<T>(T);

#[batch(size = 10, delay_ms = 10, items(users))]
async fn save(Json(users): Json<Vec<u64>>) {
    drop(users);
}

#[tokio::main]
async fn main() {
    save(1).await;
}
