use piggyback::batch;

trait PgExecutor<'c>: Send {}
impl PgExecutor<'_> for &u64 {}

#[batch(size = 10, delay_ms = 10, skip(executor))]
async fn save<'e, E: PgExecutor<'e>>(executor: E, ids: Vec<u64>) {
    drop((executor, ids));
}

#[tokio::main]
async fn main() {
    save(&1, 1).await;
}
