//! Crates for this one purpose.

use super::Dedup;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use tower::Service;
use tower::util::ServiceFn;
use tower_resilience_coalesce::{CoalesceLayer, CoalesceService};

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

#[derive(Default)]
pub(crate) struct RsSingleflight {
    numbers: rs_singleflight::Group<u64, u64, Infallible>,
    strings: rs_singleflight::Group<String, u64, Infallible>,
}

impl Dedup for RsSingleflight {
    async fn get<F>(&self, key: u64, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let body = async move || Ok(body().await);
        let Ok(answer) = self.numbers.do_call(key, body).await;
        answer
    }

    async fn get_str<F>(&self, key: &str, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let body = async move || Ok(body().await);
        let Ok(answer) = self.strings.do_call(key.to_owned(), body).await;
        answer
    }
}

#[derive(Default)]
pub(crate) struct Uniflight {
    numbers: uniflight::Merger<u64, u64>,
    strings: uniflight::Merger<String, u64>,
}

impl Dedup for Uniflight {
    async fn get<F>(&self, key: u64, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let answer = self.numbers.execute(&key, body).await;
        answer.expect("no body panics")
    }

    async fn get_str<F>(&self, key: &str, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let answer = self.strings.execute(key, body).await;
        answer.expect("no body panics")
    }
}

/// The request of a tower service: a key, and a body, which each call must bring.
struct Request<K> {
    key: K,
    body: Mutex<Answering>,
}

impl<K> Request<K> {
    fn new<F>(key: K, body: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let body: Answering = Box::pin(async move { body().await });
        Self {
            key,
            body: Mutex::new(body),
        }
    }
}

type Answering = Pin<Box<dyn Future<Output = u64> + Send>>;
type Answers = Pin<Box<dyn Future<Output = Result<u64, Infallible>> + Send>>;
type Coalesced<K> =
    CoalesceService<ServiceFn<fn(Request<K>) -> Answers>, K, Request<K>, fn(&Request<K>) -> K>;

pub(crate) struct TowerCoalesce {
    numbers: Coalesced<u64>,
    strings: Coalesced<String>,
}

fn coalesced<K: std::hash::Hash + Eq + Clone + Send + Sync + 'static>() -> Coalesced<K> {
    fn answer<K>(request: Request<K>) -> Answers {
        let body = request.body.into_inner().expect("nobody locks it");
        Box::pin(async move { Ok(body.await) })
    }
    fn key_of<K: Clone>(request: &Request<K>) -> K {
        request.key.clone()
    }
    let service = tower::service_fn(answer::<K> as fn(Request<K>) -> Answers);
    let layer = CoalesceLayer::new(key_of::<K> as fn(&Request<K>) -> K);
    tower::Layer::layer(&layer, service)
}

impl TowerCoalesce {
    pub(crate) fn new() -> Self {
        Self {
            numbers: coalesced(),
            strings: coalesced(),
        }
    }
}

impl Dedup for TowerCoalesce {
    async fn get<F>(&self, key: u64, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let answer = self.numbers.clone().call(Request::new(key, body)).await;
        answer.expect("no leader is dropped")
    }

    async fn get_str<F>(&self, key: &str, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let answer = {
            let request = Request::new(key.to_owned(), body);
            self.strings.clone().call(request).await
        };
        answer.expect("no leader is dropped")
    }
}
