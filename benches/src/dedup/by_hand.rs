//! What one finds written by hand where calls are shared. Each entry is removed by its leader when
//! the body has ended, before anybody gets the answer if the building block allows it.

use super::Dedup;
use dashmap::DashMap;
use futures::future::{BoxFuture, FutureExt, Shared};
use std::{
    borrow::Borrow,
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex},
};
use tokio::sync::{OnceCell, broadcast};

/// A `Shared` future for each key. It removes its own entry as its last step.
#[derive(Default)]
pub(crate) struct SharedFuture {
    numbers: Flights<u64>,
    strings: Flights<String>,
}

type Flights<K> = Arc<Mutex<HashMap<K, Shared<BoxFuture<'static, u64>>>>>;

fn shared<K, Q, F>(
    flights: &Flights<K>,
    key: &Q,
    body: impl FnOnce() -> F,
) -> Shared<BoxFuture<'static, u64>>
where
    K: Hash + Eq + Clone + Send + 'static + Borrow<Q>,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    F: Future<Output = u64> + Send + 'static,
{
    let mut map = flights.lock().unwrap();
    if let Some(flight) = map.get(key) {
        return flight.clone();
    }
    let (flights, owned) = (flights.clone(), key.to_owned());
    let key = owned.clone();
    let body = body();
    let flight = async move {
        let answer = body.await;
        flights.lock().unwrap().remove(owned.borrow());
        answer
    }
    .boxed()
    .shared();
    map.insert(key, flight.clone());
    flight
}

impl Dedup for SharedFuture {
    // Not to be begun before it is polled, like all others.
    async fn get<F>(&self, key: u64, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let flight = shared(&self.numbers, &key, body);
        flight.await
    }

    async fn get_str<F>(&self, key: &str, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let flight = shared(&self.strings, key, body);
        flight.await
    }
}

/// An async `OnceCell` for each key.
#[derive(Default)]
pub(crate) struct Cells {
    numbers: DashMap<u64, Arc<OnceCell<u64>>>,
    strings: DashMap<String, Arc<OnceCell<u64>>>,
}

impl Dedup for Cells {
    async fn get<F>(&self, key: u64, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let cell = self.numbers.entry(key).or_default().clone();
        *cell
            .get_or_init(|| async {
                let answer = body().await;
                self.numbers
                    .remove_if(&key, |_, other| Arc::ptr_eq(&cell, other));
                answer
            })
            .await
    }

    async fn get_str<F>(&self, key: &str, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let cell = self.strings.entry(key.to_owned()).or_default().clone();
        *cell
            .get_or_init(|| async {
                let answer = body().await;
                self.strings
                    .remove_if(key, |_, other| Arc::ptr_eq(&cell, other));
                answer
            })
            .await
    }
}

/// A broadcast channel for each key.
#[derive(Default)]
pub(crate) struct Broadcast {
    numbers: Mutex<HashMap<u64, broadcast::Sender<u64>>>,
    strings: Mutex<HashMap<String, broadcast::Sender<u64>>>,
}

async fn broadcast<K, Q, F>(
    channels: &Mutex<HashMap<K, broadcast::Sender<u64>>>,
    key: &Q,
    body: impl FnOnce() -> F,
) -> u64
where
    K: Hash + Eq + Borrow<Q>,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    F: Future<Output = u64>,
{
    let flight = {
        let mut map = channels.lock().unwrap();
        match map.get(key) {
            Some(sender) => Some(sender.subscribe()),
            None => {
                map.insert(key.to_owned(), broadcast::Sender::new(1));
                None
            }
        }
    };
    if let Some(mut receiver) = flight {
        return receiver.recv().await.unwrap();
    }
    let answer = body().await;
    let sender = channels.lock().unwrap().remove(key).unwrap();
    // Fails if nobody follows.
    let _ = sender.send(answer);
    answer
}

impl Dedup for Broadcast {
    async fn get<F>(&self, key: u64, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        broadcast(&self.numbers, &key, body).await
    }

    fn get_str<F>(
        &self,
        key: &str,
        body: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = u64> + Send
    where
        F: Future<Output = u64> + Send + 'static,
    {
        broadcast(&self.strings, key, body)
    }
}
