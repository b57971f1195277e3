use piggyback::dedup;

struct Path(u64);

macro_rules! path {
    ($name:ident) => {
        Path($name)
    };
}

#[dedup]
async fn user(path!(id): Path) -> u64 {
    id
}

#[tokio::main]
async fn main() {
    user(Path(1)).await;
}
