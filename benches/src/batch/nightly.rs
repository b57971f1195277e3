//! The peer that needs a nightly compiler: `batched`, an attribute like ours. Its worker belongs to a
//! static, and lives in the runtime of the first call: so there is a function for each runtime and size.

use super::{Batcher, Body, Setup};
use crate::side_by_side::Flavour;
use batched::batched;

#[batched(window = 10, limit = 100)]
async fn current_hundred(items: Vec<u64>) -> Vec<u64> {
    Body::PlusOne.run(items).await
}

#[batched(window = 10, limit = 100)]
async fn multi_hundred(items: Vec<u64>) -> Vec<u64> {
    Body::PlusOne.run(items).await
}

#[batched(window = 10, limit = 10)]
async fn current_ten(items: Vec<u64>) -> Vec<u64> {
    Body::PlusOne.run(items).await
}

#[batched(window = 10, limit = 10)]
async fn multi_ten(items: Vec<u64>) -> Vec<u64> {
    Body::PlusOne.run(items).await
}

#[batched(window = 10, limit = 1)]
async fn current_one(items: Vec<u64>) -> Vec<u64> {
    Body::PlusOne.run(items).await
}

#[batched(window = 10, limit = 1)]
async fn multi_one(items: Vec<u64>) -> Vec<u64> {
    Body::PlusOne.run(items).await
}

#[batched(window = 10, limit = 10)]
async fn multi_slow(items: Vec<u64>) -> Vec<u64> {
    Body::Slow.run(items).await
}

pub(crate) enum Batched {
    CurrentHundred,
    MultiHundred,
    CurrentTen,
    MultiTen,
    CurrentOne,
    MultiOne,
    MultiSlow,
}

impl Batcher for Batched {
    const DETACHED: bool = true;

    fn new(setup: Setup) -> Result<Self, &'static str> {
        use Flavour::{Current, Multi};
        if setup.eager {
            return Err("a call waits for its delay even when nothing runs");
        }
        match (setup.flavour, setup.size, setup.body) {
            (Current, 100, Body::PlusOne) => Ok(Self::CurrentHundred),
            (Multi, 100, Body::PlusOne) => Ok(Self::MultiHundred),
            (Current, 10, Body::PlusOne) => Ok(Self::CurrentTen),
            (Multi, 10, Body::PlusOne) => Ok(Self::MultiTen),
            (Current, 1, Body::PlusOne) => Ok(Self::CurrentOne),
            (Multi, 1, Body::PlusOne) => Ok(Self::MultiOne),
            (Multi, 10, Body::Slow) => Ok(Self::MultiSlow),
            _ => Err("takes its size from a literal, and there is no function for this one"),
        }
    }

    async fn call(&self, item: u64) -> u64 {
        match self {
            Self::CurrentHundred => current_hundred(item).await,
            Self::MultiHundred => multi_hundred(item).await,
            Self::CurrentTen => current_ten(item).await,
            Self::MultiTen => multi_ten(item).await,
            Self::CurrentOne => current_one(item).await,
            Self::MultiOne => multi_one(item).await,
            Self::MultiSlow => multi_slow(item).await,
        }
    }
}
