use piggyback::batch;

#[batch(size = 10, delay_ms = 10, one_by = |row| row.0)]
async fn load(ids: Vec<u64>) -> Vec<Row> {
    ids.into_iter().map(Row).collect()
}

struct Row(u64);

fn main() {}
