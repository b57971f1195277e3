use piggyback::batch;

struct Row<'a> {
    name: &'a str,
}

#[batch(size = 10, delay_ms = 10)]
async fn save(rows: Vec<Row<'_>>) {
    for row in rows {
        println!("{}", row.name);
    }
}

#[tokio::main]
async fn main() {
    save(Row { name: "a" }).await;
}
