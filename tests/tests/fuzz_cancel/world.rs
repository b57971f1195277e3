//! The world that bodies and bulk calls see, and the record of their events.

use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use piggyback::Scope;

use crate::objects::{Error, Fuse, Item, Live, Random, Value};

pub struct World {
    pub scope: Scope,
    pub live: Live,
    state: Mutex<State>,
}

struct State {
    random: Random,
    now: u64,
    /// Executions, and when they ended.
    executions: Vec<Option<u64>>,
    gates: Vec<Weak<Gate>>,
    a_body_panicked: bool,
    /// When a caller's item came.
    came: HashMap<u64, u64>,
    /// The number of times that an item was written.
    written: HashMap<u64, u32>,
    /// Bulk calls of a group that are running.
    running: HashMap<u64, u32>,
}

/// The loader's only group.
pub const LOADER: u64 = u64::MAX;

/// Something that a body waits for.
struct Gate(Mutex<(bool, Option<Waker>)>);

/// A place in a body where it waits.
enum Step {
    Yield,
    Gate,
    Panic,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub fn new(random: Random) -> Arc<Self> {
        Arc::new(Self {
            scope: Scope::new(),
            live: Arc::new(AtomicI64::new(0)),
            state: Mutex::new(State {
                random,
                now: 0,
                executions: Vec::new(),
                gates: Vec::new(),
                a_body_panicked: false,
                came: HashMap::new(),
                written: HashMap::new(),
                running: HashMap::new(),
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The number of this event.
    pub fn now(&self) -> u64 {
        let mut state = self.state();
        state.now += 1;
        state.now
    }

    pub fn ended(&self, execution: usize) -> Option<u64> {
        self.state().executions[execution]
    }

    pub fn a_body_panicked(&self) -> bool {
        self.state().a_body_panicked
    }

    pub fn written(&self, item: u64) -> u32 {
        self.state().written.get(&item).copied().unwrap_or(0)
    }

    pub fn comes(&self, item: u64, now: u64) {
        self.state().came.insert(item, now);
    }

    /// Waits here and there, and ends with its number, if it does not panic.
    async fn work(&self) -> usize {
        let (execution, steps) = {
            let mut state = self.state();
            state.executions.push(None);
            let steps: Vec<Step> = (0..state.random.below(4))
                .map(|_| match state.random.below(100) {
                    0..40 => Step::Yield,
                    40..95 => Step::Gate,
                    _ => Step::Panic,
                })
                .collect();
            (state.executions.len() - 1, steps)
        };
        for step in steps {
            match step {
                Step::Yield => Yield(false).await,
                Step::Gate => {
                    let gate = Arc::new(Gate(Mutex::new((false, None))));
                    self.state().gates.push(Arc::downgrade(&gate));
                    Waits(gate).await;
                }
                Step::Panic => {
                    self.state().a_body_panicked = true;
                    panic!("injected in a body");
                }
            }
        }
        let now = self.now();
        self.state().executions[execution] = Some(now);
        execution
    }

    pub async fn value(&self, of: u64) -> Value {
        let execution = self.work().await;
        Value::new(&self.live, of, execution)
    }

    pub async fn result(&self, of: u64) -> Result<Value, Error> {
        let value = self.value(of).await;
        if self.state().random.chance(50) {
            Ok(value)
        } else {
            Err(Error::Of(value))
        }
    }

    /// A bulk call of a group that may have this many at a time.
    pub async fn bulk(&self, group: u64, items: &[Item], size: usize, at_a_time: u32) -> usize {
        assert!(
            !items.is_empty() && items.len() <= size,
            "{} items",
            items.len()
        );
        {
            let mut state = self.state();
            let came: Vec<u64> = items.iter().map(|item| state.came[&item.id]).collect();
            // A later caller may take over a loader's place, so only the places have an order.
            assert!(
                group == LOADER || came.is_sorted(),
                "out of order: {came:?}"
            );
            let running = state.running.entry(group).or_default();
            *running += 1;
            assert!(*running <= at_a_time, "{running} at a time");
        }
        struct Ends<'a>(&'a World, u64);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                *self.0.state().running.get_mut(&self.1).unwrap() -= 1;
            }
        }
        let _ends = Ends(self, group);
        self.work().await
    }

    /// Items are written: each once.
    pub fn write(&self, items: &[Item]) {
        let mut state = self.state();
        for item in items {
            let times = state.written.entry(item.id).or_default();
            *times += 1;
            assert_eq!(*times, 1, "item {} was written again", item.id);
        }
    }

    pub fn fails(&self) -> bool {
        self.state().random.chance(20)
    }

    /// The event that a body waits for happens.
    pub fn open_a_gate(&self, random: &mut Random) {
        let mut state = self.state();
        state.gates.retain(|gate| gate.strong_count() > 0);
        if state.gates.is_empty() {
            return;
        }
        let at = random.below(state.gates.len() as u64) as usize;
        let gate = state.gates.swap_remove(at);
        drop(state);
        open(&gate);
    }

    pub fn open_all_gates(&self) {
        let gates = std::mem::take(&mut self.state().gates);
        gates.iter().for_each(open);
    }

    /// Nothing is up, and nothing is left.
    pub fn is_empty(&self, leaks: bool) {
        for row in self.scope.stats().rows {
            assert_eq!((row.in_flight, row.waiting), (0, 0), "{row:?}");
        }
        if leaks {
            return;
        }
        // The watch's thread may hold a flight for a moment.
        let mut patience = 1000;
        while self.live.load(SeqCst) != 0 && patience > 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
            patience -= 1;
        }
        assert_eq!(self.live.load(SeqCst), 0, "keys, items and values are left");
    }
}

fn open(gate: &Weak<Gate>) {
    if let Some(gate) = gate.upgrade() {
        let waker = {
            let mut gate = lock(&gate.0);
            gate.0 = true;
            gate.1.take()
        };
        // A waker may panic; that is not the gate's business.
        let _ = catch_unwind(AssertUnwindSafe(|| waker.map(Waker::wake)));
    }
}

struct Waits(Arc<Gate>);

impl Future for Waits {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Else it would be the body that panics.
        let waker = Fuse::away(|| cx.waker().clone());
        let mut gate = lock(&self.0.0);
        if gate.0 {
            return Poll::Ready(());
        }
        let old = gate.1.replace(waker);
        drop(gate);
        Fuse::away(|| drop(old));
        Poll::Pending
    }
}

struct Yield(bool);

impl Future for Yield {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        Fuse::away(|| cx.waker().wake_by_ref());
        Poll::Pending
    }
}
