//! Crates that batch calls.

use super::{Batcher, Body, Setup};
use async_graphql::runtime::{TokioSpawner, TokioTimer};
use batch_aint_one::{BatchingPolicy, Limits, OnFull, Processor};
use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::oneshot;
use tower::{Service, ServiceExt};
use tower_batch_control::{BatchControl, RequestWeight};

const NEVER_AT_ONCE: &str = "a call waits for its delay even when nothing runs";

// --- batch-aint-one. Its limits reject items: set so that they never do. ---

#[derive(Debug, Clone)]
pub(crate) struct Process(Body);

impl Processor for Process {
    type Key = u64;
    type Input = u64;
    type Output = u64;
    type Error = Infallible;
    type Resources = ();

    async fn acquire_resources(&self, _key: u64) -> Result<(), Infallible> {
        Ok(())
    }

    async fn process(
        &self,
        _key: u64,
        inputs: impl Iterator<Item = u64> + Send,
        _resources: (),
    ) -> Result<Vec<u64>, Infallible> {
        Ok(self.0.run(inputs.collect()).await)
    }
}

pub(crate) struct BatchAintOne(batch_aint_one::Batcher<Process>);

impl BatchAintOne {
    /// Batches are made for each key by itself.
    pub(crate) async fn call_for(&self, key: u64, item: u64) -> u64 {
        self.0.add(key, item).await.unwrap()
    }
}

impl Batcher for BatchAintOne {
    const DETACHED: bool = true;

    fn new(setup: Setup) -> Result<Self, &'static str> {
        let limits = Limits::builder()
            .max_batch_size(setup.size)
            .max_key_concurrency(16)
            .max_key_queued_items(1_000_000)
            .max_items_awaiting_worker(1_000_000)
            .build();
        let policy = if setup.eager {
            BatchingPolicy::Immediate
        } else {
            BatchingPolicy::Duration(setup.delay(), OnFull::Process)
        };
        Ok(Self(
            batch_aint_one::Batcher::builder()
                .name("bench")
                .processor(Process(setup.body))
                .limits(limits)
                .batching_policy(policy)
                .build(),
        ))
    }

    async fn call(&self, item: u64) -> u64 {
        self.call_for(0, item).await
    }
}

// --- ultra-batch: its BatchExecutor, which neither caches nor removes duplicates. ---

pub(crate) struct Execute(Body);

impl ultra_batch::Executor for Execute {
    type Value = u64;
    type Result = u64;
    type Error = Infallible;

    async fn execute(&self, values: Vec<u64>) -> Result<Vec<u64>, Infallible> {
        Ok(self.0.run(values).await)
    }
}

pub(crate) struct UltraBatch(ultra_batch::BatchExecutor<Execute>);

impl Batcher for UltraBatch {
    // Its one worker runs the bulk call itself: while it does, nothing is collected.
    const DETACHED: bool = false;

    fn new(setup: Setup) -> Result<Self, &'static str> {
        if setup.eager {
            return Err(NEVER_AT_ONCE);
        }
        Ok(Self(
            ultra_batch::BatchExecutor::build(Execute(setup.body))
                .delay_duration(setup.delay())
                .eager_batch_size(Some(setup.size))
                .finish(),
        ))
    }

    async fn call(&self, item: u64) -> u64 {
        self.0.execute(item).await.unwrap().unwrap()
    }
}

// --- async-graphql: its DataLoader, without a cache. ---

pub(crate) struct Load(Body);

impl async_graphql::dataloader::Loader<u64> for Load {
    type Value = u64;
    type Error = Infallible;

    async fn load(&self, keys: &[u64]) -> Result<HashMap<u64, u64>, Infallible> {
        let values = self.0.run(keys.to_vec()).await;
        Ok(keys.iter().copied().zip(values).collect())
    }
}

pub(crate) struct DataLoader(async_graphql::dataloader::DataLoader<Load>);

impl Batcher for DataLoader {
    const DETACHED: bool = true;

    fn new(setup: Setup) -> Result<Self, &'static str> {
        if setup.eager {
            return Err(NEVER_AT_ONCE);
        }
        let loader = async_graphql::dataloader::DataLoader::new(
            Load(setup.body),
            TokioSpawner::current(),
            TokioTimer::default(),
        );
        Ok(Self(loader.delay(setup.delay()).max_batch_size(setup.size)))
    }

    async fn call(&self, item: u64) -> u64 {
        let Ok(result) = self.0.load_one(item).await;
        result.unwrap()
    }
}

// --- tower-batch-control: a service that is given items and flushes. ---

pub(crate) struct Item(u64);

impl RequestWeight for Item {}

pub(crate) struct Bulk {
    body: Body,
    items: Vec<u64>,
    callers: Vec<oneshot::Sender<u64>>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<BatchControl<Item>> for Bulk {
    type Response = u64;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<u64, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: BatchControl<Item>) -> Self::Future {
        match request {
            BatchControl::Item(Item(item)) => {
                let (sender, receiver) = oneshot::channel();
                self.items.push(item);
                self.callers.push(sender);
                Box::pin(async { Ok(receiver.await?) })
            }
            BatchControl::Flush => {
                let body = self.body;
                let items = mem::take(&mut self.items);
                let callers = mem::take(&mut self.callers);
                Box::pin(async move {
                    for (result, caller) in body.run(items).await.into_iter().zip(callers) {
                        let _ = caller.send(result);
                    }
                    Ok(0)
                })
            }
        }
    }
}

/// At a time. More are not queued, whatever is asked for.
const MOST_BATCHES: usize = 64;

pub(crate) struct TowerBatch(tower_batch_control::Batch<Bulk, Item>);

impl Batcher for TowerBatch {
    // The worker polls the bulk calls itself, many at a time.
    const DETACHED: bool = false;

    fn new(setup: Setup) -> Result<Self, &'static str> {
        if setup.eager {
            return Err(NEVER_AT_ONCE);
        }
        let bulk = Bulk {
            body: setup.body,
            items: Vec::new(),
            callers: Vec::new(),
        };
        Ok(Self(tower_batch_control::Batch::new(
            bulk,
            setup.size,
            MOST_BATCHES,
            setup.delay(),
        )))
    }

    async fn call(&self, item: u64) -> u64 {
        self.0.clone().oneshot(Item(item)).await.unwrap()
    }
}
