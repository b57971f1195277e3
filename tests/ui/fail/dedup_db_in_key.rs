use piggyback::dedup;

struct Db {
    name: String,
}

#[dedup]
async fn user(db: &Db, id: u64) -> String {
    format!("{}{id}", db.name)
}

#[tokio::main]
async fn main() {
    let db = Db { name: "users".into() };
    user(&db, 1).await;
}
