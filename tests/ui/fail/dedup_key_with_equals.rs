use piggyback::dedup;

struct Request {
    user: u64,
}

#[dedup(key = request.user)]
async fn user(request: &Request) -> u64 {
    request.user
}

#[tokio::main]
async fn main() {
    user(&Request { user: 1 }).await;
}
