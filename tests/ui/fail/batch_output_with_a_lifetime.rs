use piggyback::batch;

struct Pool {
    name: String,
}

#[derive(Clone)]
struct Row<'a> {
    pool: &'a str,
    id: u64,
}

#[batch(size = 10, delay_ms = 10, skip(pool))]
async fn rows<'a>(pool: &'a Pool, ids: Vec<u64>) -> Vec<Row<'a>> {
    ids.into_iter()
        .map(|id| Row {
            pool: &pool.name,
            id,
        })
        .collect()
}

#[tokio::main]
async fn main() {
    let pool = Pool {
        name: "a".to_owned(),
    };
    let row = rows(&pool, 1).await;
    println!("{}{}", row.pool, row.id);
}
