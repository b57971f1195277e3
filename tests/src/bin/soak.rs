//! Hours of traffic in a minute: flights and batches over a million keys, of which some callers leave and some bodies panic.
//!
//! ```text
//! cargo run --release -p piggyback-tests --bin soak -- --seconds 60
//! cargo run --release -p piggyback-tests --bin soak -- --calls 1e8
//! ```
//!
//! Ends with an error if a call had no answer or another's, if anything is left in a map, or if memory has grown; of memory
//! it says nothing after a run that is too short to tell.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use piggyback::{Scope, batch, dedup};
use tokio::task::yield_now;

const KEYS: u64 = 1_000_000;
/// Keys that one call in four is for: these overlap.
const HOT_KEYS: u64 = 100;
const THREADS: usize = 2;
/// Calls at the same time.
const CALLERS: u64 = 2_000;
/// Dropped after a few polls, of which two in three come before the answer.
const DROPPED_PERCENT: u64 = 15;
const PANICKING_PER_MILLE: u64 = 11;

static DONE: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
const ANSWERED: usize = 0;
const CANCELLED: usize = 1;
const PANICKED: usize = 2;
const WRONG: usize = 3;
static STOP: AtomicBool = AtomicBool::new(false);

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % n
    }

    fn key(&mut self) -> u64 {
        let keys = if self.below(4) == 0 { HOT_KEYS } else { KEYS };
        self.below(keys)
    }
}

/// Waits as a query does, or panics as one should not.
async fn work(trouble: u64) {
    match trouble {
        0 => panic!("on purpose"),
        1..20 => tokio::time::sleep(Duration::from_millis(1)).await,
        20..60 => yield_now().await,
        _ => {}
    }
}

#[dedup(skip(trouble))]
async fn number(key: u64, trouble: u64) -> u64 {
    yield_now().await;
    work(trouble).await;
    key * 3
}

#[dedup(skip(trouble))]
async fn text(key: &str, trouble: u64) -> Result<String, std::sync::Arc<str>> {
    work(trouble).await;
    yield_now().await;
    if key.ends_with('7') {
        return Err(key.into());
    }
    Ok(key.to_owned())
}

#[dedup(spawn, skip(trouble))]
async fn task(key: u64, trouble: u64) -> u64 {
    work(trouble).await;
    key + 1
}

#[batch(size = 100, delay_ms = 1)]
async fn save(tenant: u64, items: Vec<(u64, u64)>) -> Vec<u64> {
    // The item's second half says how its batch fares.
    work(items[0].1).await;
    items.iter().map(|(item, _)| item + tenant).collect()
}

#[batch(size = 100, delay_ms = 1, eager, concurrency = 1)]
async fn commit(tenant: u64, items: Vec<(u64, u64)>) -> Result<(), u64> {
    work(items[0].1).await;
    if tenant == 7 { Err(tenant) } else { Ok(()) }
}

/// A call that is dropped after some polls, and whose panic is an outcome.
struct Watched<F> {
    call: Pin<Box<F>>,
    polls: u64,
}

impl<F: Future<Output = bool>> Future for Watched<F> {
    type Output = usize;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        if self.polls == 0 {
            return Poll::Ready(CANCELLED);
        }
        self.polls -= 1;
        match catch_unwind(AssertUnwindSafe(|| self.call.as_mut().poll(cx))) {
            Ok(Poll::Ready(true)) => Poll::Ready(ANSWERED),
            Ok(Poll::Ready(false)) => Poll::Ready(WRONG),
            Ok(Poll::Pending) if self.polls == 0 => Poll::Ready(CANCELLED),
            Ok(Poll::Pending) => Poll::Pending,
            Err(payload) => {
                let said = payload
                    .downcast_ref::<String>()
                    .map_or("on purpose", |it| it);
                Poll::Ready(if said.contains("on purpose") {
                    PANICKED
                } else {
                    WRONG
                })
            }
        }
    }
}

async fn watched(polls: u64, call: impl Future<Output = bool>) -> usize {
    let call = Box::pin(call);
    Watched { call, polls }.await
}

async fn caller(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    while !STOP.load(Relaxed) {
        let key = random.key();
        let trouble = if random.below(1000) < PANICKING_PER_MILLE {
            0
        } else {
            1 + random.below(999)
        };
        let polls = if random.below(100) < DROPPED_PERCENT {
            random.below(3)
        } else {
            u64::MAX
        };
        let outcome = match random.below(16) {
            0..6 => watched(polls, async { number(key, trouble).await == key * 3 }).await,
            6..9 => {
                let key = format!("key {key}");
                let call = async {
                    match text(&key, trouble).await {
                        Ok(text) => text == key,
                        Err(error) => *error == *key && key.ends_with('7'),
                    }
                };
                watched(polls, call).await
            }
            9..11 => watched(polls, async { task(key, trouble).await == key + 1 }).await,
            11..14 => {
                let tenant = key % 100;
                let call = async { save(tenant, (key, trouble)).await == key + tenant };
                watched(polls, call).await
            }
            _ => {
                // A group for nearly every call: they come and go.
                let call = async {
                    let committed = commit(key, (key, trouble)).await;
                    committed == if key == 7 { Err(7) } else { Ok(()) }
                };
                watched(polls, call).await
            }
        };
        DONE[outcome].fetch_add(1, Relaxed);
        if random.below(8) == 0 {
            yield_now().await;
        }
    }
}

/// Resident memory in MiB, where there is a `/proc`.
fn resident() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096.0 / 1048576.0)
}

/// Fewer calls than this are mostly the first of their kind: every table is still on its way to its size.
const WARM: u64 = 1_000_000;
/// Fewer looks at memory than this say nothing of its course.
const LOOKS: usize = 16;

/// Compares the last quarter of a run with its second one, from which on every table has had its size. Tells what can be
/// said of memory.
fn judge(memory: &[f64], calls: u64) -> Result<String, String> {
    if calls < WARM || memory.len() < LOOKS {
        return Ok(format!(
            "of memory nothing can be told: {calls} calls and {} looks, of {WARM} and {LOOKS}",
            memory.len()
        ));
    }
    let quarter = memory.len() / 4;
    let most = |memory: &[f64]| memory.iter().copied().fold(0.0, f64::max);
    let early = most(&memory[quarter..2 * quarter]);
    let late = most(&memory[3 * quarter..]);
    println!("resident: at most {early:.1} MiB in the second quarter, {late:.1} MiB in the last");
    if late > early * 1.1 + 4.0 {
        return Err(format!("memory has grown from {early:.1} to {late:.1} MiB"));
    }
    Ok("memory is flat".to_owned())
}

fn done() -> [u64; 4] {
    [ANSWERED, CANCELLED, PANICKED, WRONG].map(|it| DONE[it].load(Relaxed))
}

/// Tells what can be said of memory.
async fn soak(seconds: f64, calls: f64) -> Result<String, String> {
    let began = Instant::now();
    let callers: Vec<_> = (1..=CALLERS)
        .map(|seed| tokio::spawn(caller(seed)))
        .collect();
    let mut memory = Vec::new();
    let mut shown = 0.0;
    println!("  seconds        calls  answered cancelled  panicked  resident MiB");
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let elapsed = began.elapsed().as_secs_f64();
        let outcomes = done();
        let all: u64 = outcomes.iter().sum();
        let progress = (elapsed / seconds).max(all as f64 / calls);
        memory.extend(resident());
        if progress >= shown {
            shown += 0.05;
            let share = |it: usize| 100.0 * outcomes[it] as f64 / all.max(1) as f64;
            println!(
                "{elapsed:9.1} {all:12} {:8.2}% {:8.2}% {:8.2}% {:13.1}",
                share(ANSWERED),
                share(CANCELLED),
                share(PANICKED),
                memory.last().unwrap_or(&f64::NAN)
            );
        }
        if progress >= 1.0 {
            break;
        }
    }
    STOP.store(true, Relaxed);
    for (at, caller) in callers.into_iter().enumerate() {
        match tokio::time::timeout(Duration::from_secs(30), caller).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(format!("caller {at} panicked: {error}")),
            Err(_) => return Err(format!("caller {at} has no answer")),
        }
    }
    Scope::global().flush().await;
    // Executions that no caller waits for.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stats = Scope::global().stats();
    println!("\n{stats}");
    for row in &stats.rows {
        if (row.in_flight, row.waiting) != (0, 0) {
            return Err(format!("left in the map: {row:?}"));
        }
    }
    let [.., wrong] = done();
    if wrong > 0 {
        return Err(format!("{wrong} wrong answers"));
    }
    judge(&memory, done().iter().sum())
}

fn main() -> ExitCode {
    let (mut seconds, mut calls) = (f64::INFINITY, f64::INFINITY);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number = arguments.next().and_then(|number| number.parse().ok());
        match (&*argument, number) {
            ("--seconds", Some(number)) => seconds = number,
            ("--calls", Some(number)) => calls = number,
            _ => {
                eprintln!("usage: soak --seconds 60 | --calls 1e8");
                return ExitCode::FAILURE;
            }
        }
    }
    if seconds.is_infinite() && calls.is_infinite() {
        seconds = 60.0;
    }
    std::panic::set_hook(Box::new(|info| {
        let message = info.payload().downcast_ref::<String>().map_or("", |it| it);
        let message = info.payload().downcast_ref::<&str>().unwrap_or(&message);
        if !message.contains("on purpose") {
            eprintln!("{info}");
        }
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_time()
        .build()
        .expect("a runtime");
    match runtime.block_on(soak(seconds, calls)) {
        Ok(memory) => {
            println!("all calls had their answer, nothing is left, {memory}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}
