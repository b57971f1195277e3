use piggyback::batch;

struct Connection;

#[batch(size = 10, delay_ms = 10, skip(connection))]
async fn save(connection: &mut Connection, ids: Vec<u64>) {
    let _ = (connection, ids);
}

#[tokio::main]
async fn main() {
    save(&mut Connection, 1).await;
}
