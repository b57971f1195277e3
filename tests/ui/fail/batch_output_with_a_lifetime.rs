use piggyback::batch;

struct Pool {
    name: String,
}

#[derive(Clone)]
struct Row<'a> {
    pool: &'a Pool,
    id: u64,
}

#[batch(size = 10, delay_ms = 10, skip(pool))]
async fn rows<'a>(pool: &'a Pool, ids: Vec<u64>) -> Vec<(&'a str, Row<'a>)> {
    ids.into_iter()
        .map(|id| (&*pool.name, Row { id, pool }))
        .collect()
}

#[tokio::main]
async fn main() {
    let pool = Pool {
        name: "a".to_owned(),
    };
    let (name, row) = rows(&pool, 1).await;
    println!("{name}{}{}", row.pool.name, row.id);
}
