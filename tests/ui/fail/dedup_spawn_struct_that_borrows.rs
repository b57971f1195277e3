use piggyback::dedup;

struct Request<'a> {
    path: &'a str,
}

#[dedup(skip(request), spawn)]
async fn page(id: u64, request: Request<'_>) -> String {
    format!("{id}{}", request.path)
}

#[tokio::main]
async fn main() {
    page(1, Request { path: "/" }).await;
}
