use piggyback::dedup;

#[dedup]
async fn user(request: Request<'_>) -> usize {
    request.0.len()
}

struct Request<'a>(&'a str);

fn main() {}
