use piggyback::dedup;
use std::future::Future;
use std::pin::Pin;

struct Users(u64);

impl Users {
    #[dedup(key(self = self.0))]
    fn user(&self, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        let tenant = self.0;
        Box::pin(async move { tenant + id })
    }
}

fn main() {}
