use piggyback::batch;

#[derive(Clone)]
struct Client;

#[batch(size = 10, eager)]
async fn send(http: Client, bodies: Vec<String>) {
    let _ = (http, bodies);
}

#[tokio::main]
async fn main() {
    send(Client, String::new()).await;
}
