use piggyback::dedup;

struct Pool;

macro_rules! find {
    ($arg:ident) => {
        #[dedup(skip(pool))]
        async fn find(pool: &Pool, $arg: u64) -> u64 {
            let _ = pool;
            $arg
        }
    };
}
find!(pool);

fn main() {}
