//! Crates for this one purpose.

use super::Dedup;
use std::future::Future;

#[derive(Default)]
pub(crate) struct SingleflightAsync {
    numbers: singleflight_async::SingleFlight<u64, u64>,
    strings: singleflight_async::SingleFlight<String, u64>,
}

impl Dedup for SingleflightAsync {
    fn get<F>(
        &self,
        key: u64,
        body: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = u64> + Send
    where
        F: Future<Output = u64> + Send + 'static,
    {
        self.numbers.work(key, body)
    }

    fn get_str<F>(
        &self,
        key: &str,
        body: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = u64> + Send
    where
        F: Future<Output = u64> + Send + 'static,
    {
        self.strings.work(key.to_owned(), body)
    }
}

#[derive(Default)]
pub(crate) struct AsyncSingleflight {
    numbers: async_singleflight::UnaryGroup<u64, u64>,
    strings: async_singleflight::UnaryGroup<String, u64>,
}

impl Dedup for AsyncSingleflight {
    async fn get<F>(&self, key: u64, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        self.numbers.work(&key, body()).await
    }

    fn get_str<F>(
        &self,
        key: &str,
        body: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = u64> + Send
    where
        F: Future<Output = u64> + Send + 'static,
    {
        self.strings.work(key, body())
    }
}
