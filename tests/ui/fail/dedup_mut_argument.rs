use piggyback::dedup;

struct Connection;

#[dedup]
async fn user(connection: &mut Connection, id: u64) -> u64 {
    let _ = connection;
    id
}

#[tokio::main]
async fn main() {
    user(&mut Connection, 1).await;
}
