//! Lower bounds of the cost of sharing: a bare call; the least that a map of flights does; the least
//! that waiting does.

use super::{Calls, Dedup, body};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::{
    future::{Future, poll_fn},
    hash::{BuildHasher, Hash},
    sync::{Arc, Mutex, OnceLock},
    task::{Poll, Waker},
};

/// Nothing is shared.
pub(crate) struct Bare;

impl Calls for Bare {
    fn ready(&self, key: u64) -> impl Future<Output = u64> + Send {
        body::ready(key)
    }

    fn ready_str(&self, key: &str) -> impl Future<Output = u64> + Send {
        body::ready(key.len() as u64)
    }

    fn gated(&self, key: u64) -> impl Future<Output = u64> + Send {
        body::gated(key)
    }

    fn yielding(&self, key: u64) -> impl Future<Output = u64> + Send {
        body::yielding(key)
    }
}

/// `Mutex<HashTable>`: one insertion before the body and one removal after it, and one `Arc`.
/// Nobody looks anything up in it.
#[derive(Default)]
pub(crate) struct Map {
    numbers: Table<u64>,
    strings: Table<String>,
}

type Table<K> = Mutex<HashTable<Arc<(K, OnceLock<u64>)>>>;

async fn inserted<K: Hash, F: Future<Output = u64>>(
    table: &Table<K>,
    hasher: FixedState,
    key: K,
    body: impl FnOnce() -> F,
) -> u64 {
    let entry = Arc::new((key, OnceLock::new()));
    let hash = hasher.hash_one(&entry.0);
    table
        .lock()
        .unwrap()
        .insert_unique(hash, entry.clone(), |entry| hasher.hash_one(&entry.0));
    let answer = body().await;
    if let Ok(found) = table
        .lock()
        .unwrap()
        .find_entry(hash, |other| Arc::ptr_eq(&entry, other))
    {
        found.remove();
    }
    let _ = entry.1.set(answer);
    answer
}

impl Dedup for Map {
    const CANNOT: &'static [(&'static str, &'static str)] =
        &[("D2", "nobody waits"), ("Dc", "nobody waits")];

    fn get<F>(
        &self,
        key: u64,
        body: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = u64> + Send
    where
        F: Future<Output = u64> + Send + 'static,
    {
        inserted(&self.numbers, FixedState::default(), key, body)
    }

    fn get_str<F>(
        &self,
        key: &str,
        body: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = u64> + Send
    where
        F: Future<Output = u64> + Send + 'static,
    {
        inserted(&self.strings, FixedState::default(), key.to_owned(), body)
    }
}

/// One key, so no map: a flight is a vector of wakers and a place for the answer.
#[derive(Default)]
pub(crate) struct OneKey(Mutex<Option<Arc<Flight>>>);

#[derive(Default)]
pub(crate) struct Flight {
    wakers: Mutex<Vec<Waker>>,
    answer: OnceLock<u64>,
}

impl Dedup for OneKey {
    const CANNOT: &'static [(&'static str, &'static str)] = &[
        ("D1", "one key"),
        ("D1s", "one key"),
        ("D3", "one key"),
        ("Dc", "followers can't leave"),
    ];

    async fn get<F>(&self, _key: u64, body: impl FnOnce() -> F + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let (flight, leads) = {
            let mut slot = self.0.lock().unwrap();
            match &*slot {
                Some(flight) => (flight.clone(), false),
                None => {
                    let flight = Arc::<Flight>::default();
                    *slot = Some(flight.clone());
                    (flight, true)
                }
            }
        };
        if leads {
            let answer = body().await;
            *self.0.lock().unwrap() = None;
            let mut wakers = flight.wakers.lock().unwrap();
            let _ = flight.answer.set(answer);
            let wakers = std::mem::take(&mut *wakers);
            wakers.into_iter().for_each(Waker::wake);
            return answer;
        }
        let mut waits = false;
        poll_fn(|cx| {
            if let Some(&answer) = flight.answer.get() {
                return Poll::Ready(answer);
            }
            if !waits {
                let mut wakers = flight.wakers.lock().unwrap();
                if let Some(&answer) = flight.answer.get() {
                    return Poll::Ready(answer);
                }
                wakers.push(cx.waker().clone());
                waits = true;
            }
            Poll::Pending
        })
        .await
    }

    fn get_str<F>(
        &self,
        _key: &str,
        body: impl FnOnce() -> F + Send + 'static,
    ) -> impl Future<Output = u64> + Send
    where
        F: Future<Output = u64> + Send + 'static,
    {
        body()
    }
}
