use piggyback::dedup;

#[tokio::main]
#[dedup]
async fn main() {
    println!("hello");
}
