//! The functions that are called.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use piggyback::{batch, dedup};

use crate::objects::{Callback, Error, Item, Key, Random, Value, called};
use crate::world::{LOADER, World};

#[dedup(skip(world), scope = world.scope)]
async fn fetch(world: &Arc<World>, key: Key) -> Value {
    world.value(key.key).await
}

#[dedup(skip(world), scope = world.scope, share_err = Error::shared)]
async fn fallible(world: &Arc<World>, key: &Key) -> Result<Value, Error> {
    world.result(key.key).await
}

#[dedup(skip(world), scope = world.scope, max_age_ms = 5, max_followers = 2, forget = forget_bounded)]
async fn bounded(world: &Arc<World>, key: &Key) -> Value {
    world.value(key.key).await
}

#[dedup(spawn, skip(world), scope = world.scope, share_err = Error::shared)]
async fn spawned(world: &Arc<World>, key: &Key) -> Result<Value, Error> {
    world.result(key.key).await
}

fn size() -> usize {
    called(Callback::Limits);
    3
}

#[batch(size = size(), delay_ms = 5, skip(world), scope = world.scope)]
async fn save(world: &Arc<World>, group: Key, items: &[Item]) -> Vec<Value> {
    let execution = world.bulk(group.key, items, 3, u32::MAX).await;
    world.write(items);
    let value = |item: &Item| Value::new(&world.live, item.id, execution);
    items.iter().map(value).collect()
}

#[batch(size = size(), delay_ms = 5, eager, concurrency = 1, skip(world), scope = world.scope, share_err = Error::shared)]
async fn commit(world: &Arc<World>, group: Key, items: Vec<Item>) -> Result<(), Error> {
    let execution = world.bulk(group.key, &items, 3, 1).await;
    if world.fails() {
        return Err(Error::Of(Value::new(&world.live, 0, execution)));
    }
    world.write(&items);
    Ok(())
}

#[batch(
    size = 4, delay_ms = 5, concurrency = 2, skip(world), scope = world.scope,
    unique = |item| { called(Callback::Unique); item.key },
    weight = |item| { called(Callback::Weight); item.weight },
    max_weight = 5,
)]
async fn upsert(world: &Arc<World>, group: Key, items: Vec<Item>) {
    world.bulk(group.key, &items, 4, 2).await;
    let mut keys: Vec<u64> = items.iter().map(|item| item.key).collect();
    keys.sort_unstable();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "{keys:?}");
    let weight: u64 = items.iter().map(|item| item.weight).sum();
    assert!(weight <= 5 || items.len() == 1, "too heavy: {weight}");
    world.write(&items);
}

#[batch(size = 4, delay_ms = 5, split_on_err, skip(world), scope = world.scope)]
async fn all_or_nothing(world: &Arc<World>, items: Vec<Item>) -> Result<(), Error> {
    let execution = world.bulk(0, &items, 4, u32::MAX).await;
    if items.iter().any(|item| item.bad) {
        return Err(Error::Of(Value::new(&world.live, 0, execution)));
    }
    world.write(&items);
    Ok(())
}

/// A data loader: equal items in flight share one place.
#[dedup]
#[batch(size = 3, delay_ms = 5, skip(world), scope = world.scope)]
async fn load(world: &Arc<World>, items: Vec<Item>) -> Vec<Value> {
    let execution = world.bulk(LOADER, &items, 3, u32::MAX).await;
    let mut keys: Vec<u64> = items.iter().map(|item| item.key).collect();
    keys.sort_unstable();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "{keys:?}");
    let value = |item: &Item| Value::new(&world.live, item.key, execution);
    items.iter().map(value).collect()
}

pub const COUNT: u64 = 9;

pub fn is_flight(function: u64) -> bool {
    function < 4
}

#[derive(Debug)]
pub enum Answer {
    Flight(Result<Value, Error>),
    Batch(Result<Option<Value>, Error>),
    Loaded(Value),
}

pub struct Called {
    pub future: Pin<Box<dyn Future<Output = Answer>>>,
    pub key: u64,
    pub item: Option<u64>,
    /// For a batch that is split, whether the item is bad.
    pub splits: Option<bool>,
}

/// A call of a function by the caller with this number.
pub fn begin(function: u64, world: &Arc<World>, number: u64, random: &mut Random) -> Called {
    let key = if random.chance(75) { 0 } else { 1 };
    let (bad, weight, unique) = (random.chance(25), random.below(7), random.below(4));
    let world = world.clone();
    let owned = Key::new(&world.live, key);
    let item = || Item::new(&world.live, number, unique, weight, bad);
    let future: Pin<Box<dyn Future<Output = Answer>>> = match function {
        0 => Box::pin(async move { Answer::Flight(Ok(fetch(&world, owned).await)) }),
        1 => Box::pin(async move { Answer::Flight(fallible(&world, &owned).await) }),
        2 => Box::pin(async move { Answer::Flight(Ok(bounded(&world, &owned).await)) }),
        3 => Box::pin(async move { Answer::Flight(spawned(&world, &owned).await) }),
        4 => {
            let item = item();
            Box::pin(async move { Answer::Batch(Ok(Some(save(&world, owned, item).await))) })
        }
        5 => {
            let item = item();
            Box::pin(async move { Answer::Batch(commit(&world, owned, item).await.map(|()| None)) })
        }
        6 => {
            let item = item();
            Box::pin(async move {
                upsert(&world, owned, item).await;
                Answer::Batch(Ok(None))
            })
        }
        7 => {
            let item = item();
            Box::pin(async move {
                drop(owned);
                Answer::Batch(all_or_nothing(&world, item).await.map(|()| None))
            })
        }
        _ => {
            let item = item();
            Box::pin(async move {
                drop(owned);
                Answer::Loaded(load(&world, item).await)
            })
        }
    };
    let item = (4..8).contains(&function).then_some(number);
    let key = if function == 8 { unique } else { key };
    let splits = (function == 7).then_some(bad);
    Called {
        future,
        key,
        item,
        splits,
    }
}

pub fn forget(function: u64, world: &Arc<World>, key: u64) {
    if function == 2 {
        forget_bounded(world, &Key::new(&world.live, key));
    }
}
