use piggyback::batch;

struct Connection;

#[batch(size = 10, delay_ms = 10, skip(connection))]
async fn save(connection: &Connection, ids: Vec<u64>) {
    let _ = (connection, ids);
}

#[tokio::main]
async fn main() {
    save(&Connection, 1).await;
}
