//! Random histories through the attribute, on two runtimes whose time is paused: calls come, leave, are cut off with their
//! runtime; bulk calls succeed, fail, panic and give wrong numbers. What is checked is what every caller may rely on.
//!
//! A history is a function of its seed: `PIGGYBACK_SEED=… cargo test -p piggyback-tests --test batch_histories` plays one again.

mod bulk;

use bulk::ms;
use piggyback::{Scope, batch};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

const HISTORIES: u64 = 1_000;
const CALLS: u64 = 60;
const SIZE: usize = 4;
const DELAY_MS: u64 = 10;
const MAX_WEIGHT: u64 = 12;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    id: u64,
    weight: u64,
    unique: u64,
}

#[derive(Default)]
struct Seen {
    /// The items of each bulk call, and how it ends.
    calls: Vec<(Vec<Item>, u64)>,
    running: usize,
    most_running: usize,
}

/// A world that all calls of a history share.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Seen>>);

impl World {
    async fn bulk(&self, items: Vec<Item>) -> Result<Vec<u64>, String> {
        let ids: Vec<u64> = items.iter().map(|item| item.id).collect();
        let chance = mix(ids[0] * 31 + ids.len() as u64);
        {
            let mut seen = self.0.lock().unwrap();
            seen.calls.push((items, chance % 8));
            seen.running += 1;
            seen.most_running = seen.most_running.max(seen.running);
        }
        struct Ends(World);
        impl Drop for Ends {
            fn drop(&mut self) {
                self.0.0.lock().unwrap().running -= 1;
            }
        }
        let _ends = Ends(self.clone());
        tokio::time::sleep(ms(chance / 8 % 30)).await;
        match chance % 8 {
            0 => panic!("on purpose"),
            1 => Ok(vec![0; ids.len() + 1]),
            2 => Err(format!("no {}", ids[0])),
            _ => Ok(ids.iter().map(|id| id * 3).collect()),
        }
    }
}

type Answer = Result<u64, String>;

/// The same function with different options.
macro_rules! variants {
    ($($name:ident($($option:tt)*);)*) => {$(
        #[batch(size = SIZE, delay_ms = DELAY_MS, scope = scope, skip(scope, world), $($option)*)]
        async fn $name(scope: Scope, world: World, tenant: u64, items: Vec<Item>) -> Result<Vec<u64>, String> {
            let _ = (&scope, tenant);
            world.bulk(items).await
        }
    )*};
}

variants! {
    plain();
    eager(eager);
    one_at_a_time(concurrency = 1);
    group_commit(eager, concurrency = 1);
    limited(
        concurrency = 2,
        weight = |item: &Item| item.weight,
        max_weight = MAX_WEIGHT,
        unique = |item: &Item| item.unique
    );
}

fn call(
    variant: u64,
    scope: Scope,
    world: World,
    tenant: u64,
    item: Item,
    runtime: &Runtime,
) -> JoinHandle<Answer> {
    match variant {
        0 => runtime.spawn(plain(scope, world, tenant, item)),
        1 => runtime.spawn(eager(scope, world, tenant, item)),
        2 => runtime.spawn(one_at_a_time(scope, world, tenant, item)),
        3 => runtime.spawn(group_commit(scope, world, tenant, item)),
        _ => runtime.spawn(limited(scope, world, tenant, item)),
    }
}

fn mix(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 29)
}

fn paused() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Drives a runtime for some of its milliseconds.
fn drive(runtime: &Runtime, n: u64) {
    runtime.block_on(bulk::sleep_ms(n));
}

#[test]
fn whatever_happens_each_item_is_executed_once_and_each_caller_gets_its_own() {
    std::panic::set_hook(Box::new(|info| {
        let said = info.to_string();
        if said.contains("batch_histories.rs") && !said.contains("on purpose") {
            eprintln!("{said}");
        }
    }));
    if let Ok(seed) = std::env::var("PIGGYBACK_SEED") {
        return history(seed.parse().unwrap());
    }
    for seed in 0..HISTORIES {
        let ended = std::panic::catch_unwind(|| history(seed));
        assert!(ended.is_ok(), "play it again with PIGGYBACK_SEED={seed}");
    }
}

fn history(seed: u64) {
    let mut random = mix(seed);
    let mut below = move |n: u64| {
        random = mix(random);
        random % n
    };
    let variant = seed % 5;
    let (scope, world) = (Scope::new(), World::default());
    let mut runtimes = [paused(), paused()];
    let mut waiting: BTreeMap<u64, (usize, u64, JoinHandle<Answer>)> = BTreeMap::new();
    // Left while still in the queue, as far as one can tell from outside: never begun at the time.
    let mut gone_in_time = BTreeSet::new();
    let (mut answers, mut tenants) = (BTreeMap::new(), BTreeMap::new());
    let mut flushes = Vec::new();

    for id in 0..CALLS {
        let (at, tenant) = (below(2) as usize, below(2));
        let item = Item {
            id,
            weight: below(15),
            unique: below(5),
        };
        tenants.insert(id, tenant);
        let handle = call(
            variant,
            scope.clone(),
            world.clone(),
            tenant,
            item,
            &runtimes[at],
        );
        waiting.insert(id, (at, tenant, handle));
        match below(12) {
            0..=4 => drive(&runtimes[at], below(7)),
            5 => {
                drive(&runtimes[0], 1);
                drive(&runtimes[1], 1);
            }
            6 | 7 => {
                let leaver = below(id + 1);
                if let Some((at, _, handle)) = waiting.remove(&leaver) {
                    let begun = world.begun();
                    handle.abort();
                    runtimes[at].block_on(async {
                        if let Ok(answer) = handle.await {
                            answers.insert(leaver, answer);
                        } else if !begun.contains(&leaver) && !world.begun().contains(&leaver) {
                            gone_in_time.insert(leaver);
                        }
                    });
                }
            }
            8 => flushes.push(runtimes[at].spawn({
                let scope = scope.clone();
                async move { scope.flush().await }
            })),
            9 if below(4) == 0 => {
                let dead = std::mem::replace(&mut runtimes[at], paused());
                drop(dead);
                let cut_off: Vec<u64> = waiting
                    .iter()
                    .filter(|(_, call)| call.0 == at)
                    .map(|(&id, _)| id)
                    .collect();
                for id in cut_off {
                    let (_, _, handle) = waiting.remove(&id).unwrap();
                    match runtimes[at].block_on(handle) {
                        Ok(answer) => drop(answers.insert(id, answer)),
                        Err(_) if !world.begun().contains(&id) => drop(gone_in_time.insert(id)),
                        Err(_) => {}
                    }
                }
            }
            _ => {}
        }
    }

    // Everybody else gets an answer.
    let mut told = BTreeSet::new();
    let start = std::time::Instant::now();
    while !waiting.is_empty() {
        for runtime in &runtimes {
            drive(runtime, 5);
        }
        let ended: Vec<u64> = waiting
            .iter()
            .filter(|(_, call)| call.2.is_finished())
            .map(|(&id, _)| id)
            .collect();
        for id in ended {
            let (at, _, handle) = waiting.remove(&id).unwrap();
            match runtimes[at].block_on(handle) {
                Ok(answer) => drop(answers.insert(id, answer)),
                Err(_) => drop(told.insert(id)),
            }
        }
        assert!(start.elapsed().as_secs() < 20, "{waiting:?} hang");
    }
    for runtime in &runtimes {
        drive(runtime, 100);
    }
    for flush in flushes {
        assert!(flush.is_finished(), "a flush hangs");
    }

    let seen = world.0.lock().unwrap();
    let mut executed = BTreeSet::new();
    for (items, outcome) in &seen.calls {
        assert!((1..=SIZE).contains(&items.len()));
        let ids: Vec<u64> = items.iter().map(|item| item.id).collect();
        assert!(
            ids.iter().all(|id| tenants[id] == tenants[&ids[0]]),
            "{ids:?}"
        );
        for id in &ids {
            assert!(executed.insert(*id), "{id} twice");
            assert!(!gone_in_time.contains(id), "{id} had left");
            match answers.get(id) {
                Some(Ok(result)) => assert_eq!(*result, id * 3),
                Some(Err(error)) => {
                    assert_eq!(*outcome, 2);
                    assert_eq!(*error, format!("no {}", ids[0]));
                }
                None => {}
            }
        }
        if variant == 4 {
            let weight: u64 = items.iter().map(|item| item.weight).sum();
            assert!(weight <= MAX_WEIGHT || items.len() == 1);
            let unique: BTreeSet<u64> = items.iter().map(|item| item.unique).collect();
            assert_eq!(unique.len(), items.len());
        }
    }
    for id in answers.keys().chain(&told) {
        assert!(executed.contains(id), "{id} was lost");
    }
    // Two tenants.
    match variant {
        2 | 3 => assert!(seen.most_running <= 2),
        4 => assert!(seen.most_running <= 4),
        _ => {}
    }
    assert_eq!(seen.running, 0);
    let rows = scope.stats().rows;
    assert!(
        rows.iter()
            .all(|row| row.in_flight == 0 && row.waiting == 0),
        "{rows:?}"
    );
}

impl World {
    /// The items of all bulk calls so far.
    fn begun(&self) -> BTreeSet<u64> {
        let seen = self.0.lock().unwrap();
        seen.calls
            .iter()
            .flat_map(|(items, _)| items.iter().map(|item| item.id))
            .collect()
    }
}
