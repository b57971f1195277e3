//! Random histories of one group, played with the queue and the cells as they are, and a world around them that is all
//! pretence: callers, tasks, runtimes and time. What the queue does is held against what was promised.
//!
//! A history is a function of its seed: `PIGGYBACK_SEED=… cargo test -p piggyback --lib histories` plays one again, and
//! `PIGGYBACK_HISTORIES=…` plays more or fewer of them.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::*;
use crate::batch::limits::Limits;
use crate::batch::permit::{Limited, limited};
use crate::batch::shared::{Batch as Shared, Cause, Ended, Found, Leaves};
use crate::batch::start::Grant;
use crate::observe;

const HISTORIES: u64 = 5_000;
const STEPS: usize = 40;
const TICK_MS: u64 = 50;
const STALL_MS: u64 = 100;

#[test]
fn every_history_keeps_every_promise() {
    if let Ok(seed) = std::env::var("PIGGYBACK_SEED") {
        return history(seed.parse().expect("a number"));
    }
    let histories = std::env::var("PIGGYBACK_HISTORIES")
        .map_or(HISTORIES, |histories| histories.parse().expect("a number"));
    (0..histories).for_each(history);
}

fn history(seed: u64) {
    struct Seed(u64);
    impl Drop for Seed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("play it again with PIGGYBACK_SEED={}", self.0);
            }
        }
    }
    let _seed = Seed(seed);
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.end();
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// Something with a waker.
#[derive(Clone)]
struct Polled {
    flag: Arc<Flag>,
    waker: Waker,
}

impl Polled {
    fn new(woken: bool) -> Self {
        let flag = Arc::new(Flag(AtomicBool::new(woken)));
        Self {
            waker: flag.clone().into(),
            flag,
        }
    }
    fn woken(&self) -> bool {
        self.flag.0.load(SeqCst)
    }
}

struct Runtime {
    driven: bool,
    timers: bool,
}

struct Caller {
    polled: Polled,
    runtime: usize,
    /// What it knows of its place: its batch may have changed since.
    batch: Id,
    ticket: Ticket,
    /// Where its item is.
    in_batch: Id,
    came: u64,
    weight: u64,
    unique: u32,
    /// It waits for its result.
    waits: bool,
    /// It is neither polled nor dropped any more.
    forgotten: bool,
    /// It is an item of this list.
    list: Option<usize>,
}

/// A call with several items. Each of them is one of `callers`.
struct List {
    polled: Polled,
    runtime: usize,
    items: Vec<usize>,
    /// The first item by itself, and then the others, as they follow one another in their batches. Only the first of a part has
    /// a waker.
    parts: Vec<Part>,
    /// It is inside of a poll or a drop: nobody else may do anything with it.
    busy: bool,
    /// A failure of one of its items is a panic, and the others leave.
    panics: bool,
    forgotten: bool,
}

struct Part {
    batch: Id,
    first: Ticket,
    count: Ticket,
    /// The place of the first in the list.
    at: usize,
}

/// Whose item comes.
struct By {
    polled: Polled,
    runtime: usize,
    list: Option<usize>,
}

/// What became of a place that was polled.
enum At {
    Ended,
    Failed,
    Waits,
    Moved(Id, Ticket),
}

struct Task {
    polled: Polled,
    runtime: usize,
    batch: Id,
    turn: Turn,
    /// It asks again while its batch fills, and has seen so many items.
    seen: Option<usize>,
    first_poll: bool,
    timer: Option<Instant>,
    runs: bool,
    permit: Option<OwnedSemaphorePermit>,
}

/// A bulk call that may need a permit.
struct Call(Option<Limited<()>>);

impl Start for Call {
    const MAY_NEED_PERMIT: bool = true;
    fn permit(&self) -> Permit {
        self.0.as_ref().map_or(Permit::Unneeded, Limited::permit)
    }
    fn ask(&mut self) {
        self.0.iter_mut().for_each(Limited::ask);
    }
    fn give_up(&mut self) -> Option<Box<dyn Send>> {
        self.0.as_mut()?.give_up()
    }
    fn grant(&self) -> Option<Arc<Grant>> {
        self.0.as_ref()?.grant()
    }
    fn semaphore(&self) -> usize {
        self.0.as_ref().map_or(0, Limited::semaphore)
    }
}

/// What the model knows of a batch.
struct Batch {
    shared: Arc<Shared<u32>>,
    limits: Limits,
    /// Those who have a place, as indices of `callers`, while it is queued.
    queued: Vec<usize>,
    stage: Stage,
    was_full: bool,
    /// It takes no more items: flushed, or another did not fit.
    sealed: bool,
    /// An item came before its task was first polled, and after some time.
    stale: bool,
    task_polled: bool,
    /// A bulk call waits for it.
    urgent: bool,
    /// Since when it could run, with the task of this turn.
    eligible_since: Option<(u64, Turn)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Queued,
    Runs,
    Ok,
    Panicked,
    RuntimeGone,
    NoTimers,
    Empty,
}

type Queue = Group<u32, u32, Call, Waker, Arc<Shared<u32>>>;

struct World {
    rng: Rng,
    start: Instant,
    now_ms: u64,
    group: Queue,
    limits: Limits,
    new_limits: bool,
    unique: bool,
    weighs: bool,
    max_waiting: Option<usize>,
    /// Some callers are forgotten.
    forgets: bool,
    semaphore: Option<Arc<Semaphore>>,
    permits: usize,
    /// What the user's own code has.
    held: Vec<OwnedSemaphorePermit>,
    runtimes: Vec<Runtime>,
    callers: Vec<Caller>,
    lists: Vec<List>,
    /// Some calls have several items.
    many: bool,
    tasks: Vec<Task>,
    batches: BTreeMap<Id, Batch>,
    flushed: Vec<(Vec<Id>, Polled)>,
    /// A batch was orphaned, or failed in the queue.
    disturbed: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let is_limited = rng.one_in(2);
        let limits = limits(&mut rng, is_limited);
        let start = Instant::now();
        let permits = 1 + rng.below(3);
        Self {
            semaphore: rng.one_in(3).then(|| Arc::new(Semaphore::new(permits))),
            permits,
            held: Vec::new(),
            start,
            now_ms: 0,
            group: Group::new(),
            limits,
            new_limits: rng.one_in(8),
            unique: rng.one_in(3),
            weighs: limits.max_weight.is_some(),
            max_waiting: rng.one_in(4).then(|| 1 + rng.below(6)),
            forgets: rng.one_in(4),
            runtimes: (0..3)
                .map(|_| Runtime {
                    driven: true,
                    timers: !rng.one_in(20),
                })
                .collect(),
            callers: Vec::new(),
            lists: Vec::new(),
            many: rng.one_in(2),
            tasks: Vec::new(),
            batches: BTreeMap::new(),
            flushed: Vec::new(),
            disturbed: false,
            rng,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.now_ms)
    }

    fn step(&mut self) {
        match self.rng.below(if self.forgets { 28 } else { 27 }) {
            0..=7 if self.many && self.rng.one_in(3) => self.come_many(),
            0..=7 => self.come(),
            8..=9 => {
                let waiting: Vec<usize> = self.waiting().collect();
                if !waiting.is_empty() {
                    let caller = self.rng.of(&waiting);
                    self.goes(caller);
                }
            }
            10..=12 => {
                self.poll_one();
            }
            13..=14 => self.settle(),
            15..=17 => {
                let ms = self.rng.of(&[1, 4, 5, 10, 60, 120]);
                self.advance(ms);
            }
            18..=20 => self.end_one(),
            21 => self.flush(),
            22 if self.rng.one_in(2) => self.hurry(),
            22 => {
                let runtime = self.rng.below(3);
                self.runtimes[runtime].driven ^= true;
            }
            23 => {
                let permit = self.semaphore.clone().map(Semaphore::try_acquire_owned);
                self.held.extend(permit.and_then(Result::ok));
            }
            24 | 25 => drop(self.held.pop()),
            26 => {
                let runtime = self.rng.below(3);
                self.kill(runtime);
            }
            _ => {
                let waiting: Vec<usize> = self.waiting().collect();
                if !waiting.is_empty() {
                    let caller = self.rng.of(&waiting);
                    self.callers[caller].forgotten = true;
                    if let Some(list) = self.callers[caller].list {
                        self.lists[list].forgotten = true;
                        for &item in &self.lists[list].items {
                            self.callers[item].forgotten = true;
                        }
                    }
                }
            }
        }
    }

    /// Callers that wait, and are not forgotten.
    fn waiting(&self) -> impl Iterator<Item = usize> {
        (0..self.callers.len()).filter(|&at| {
            let caller = &self.callers[at];
            let busy = caller.list.is_some_and(|list| self.lists[list].busy);
            caller.waits && !caller.forgotten && !busy
        })
    }

    // ---- what happens

    fn come(&mut self) {
        let runtime = self.rng.below(3);
        if !self.runtimes[runtime].driven || self.refuses(1) {
            return;
        }
        let polled = Polled::new(false);
        let coming = self.coming(Some(polled.waker.clone()));
        let by = By {
            polled,
            runtime,
            list: None,
        };
        if let Err(coming) = self.add(coming, &by) {
            self.open(coming, &by);
        }
    }

    /// A call with several items comes, as `Table::join_many` has it.
    fn come_many(&mut self) {
        let runtime = self.rng.below(3);
        let all = 2 + self.rng.below(6);
        if !self.runtimes[runtime].driven || self.refuses(all) {
            return;
        }
        let list = self.lists.len();
        let polled = Polled::new(false);
        let panics = self.rng.one_in(2);
        self.lists.push(List {
            polled: polled.clone(),
            runtime,
            items: Vec::new(),
            parts: Vec::new(),
            busy: true,
            panics,
            forgotten: false,
        });
        let waker = polled.waker.clone();
        let by = By {
            polled,
            runtime,
            list: Some(list),
        };
        let mut last = None;
        while self.lists[list].items.len() < all {
            // Under one lock.
            let mut spare = Some(waker.clone());
            let mut no_room = None;
            while self.lists[list].items.len() < all {
                let mut next = self.coming(None);
                if last.is_none_or(|last| !self.group.is_open(last)) {
                    next.waker = spare.take();
                }
                match self.add(next, &by) {
                    Ok(id) => last = Some(id),
                    Err(coming) => {
                        no_room = Some(coming);
                        break;
                    }
                }
            }
            let Some(mut coming) = no_room else { break };
            // Others come, or get on, before the list opens a batch.
            match self.rng.below(8) {
                0 => self.come(),
                1 => drop(self.poll_one()),
                2 => self.end_one(),
                _ => {}
            }
            coming.item = self.callers.len() as u32;
            coming.waker = Some(waker.clone());
            last = Some(match self.add(coming, &by) {
                Ok(id) => id,
                Err(coming) => self.open(coming, &by),
            });
            match self.rng.below(8) {
                0 => self.come(),
                1 => drop(self.poll_one()),
                _ => {}
            }
        }
        self.lists[list].busy = false;
        // It goes on in the same poll, and looks at its places.
        waker.wake();
    }

    /// Whether so many items are refused.
    fn refuses(&self, items: usize) -> bool {
        let queued = self.batches.values();
        let queued = queued.filter(|batch| batch.stage == Stage::Queued);
        let waiting: usize = queued.map(|batch| batch.queued.len()).sum();
        assert_eq!(self.group.waiting(), waiting, "those who left don't count");
        self.max_waiting.is_some_and(|most| {
            assert_eq!(self.group.is_busy(most), waiting >= most);
            waiting + items > most
        })
    }

    fn coming(&mut self, waker: Option<Waker>) -> Coming<u32, u32, Waker> {
        let weight = if self.weighs {
            self.rng.below(7) as u64
        } else {
            0
        };
        let unique = self.rng.below(4) as u32;
        Coming {
            item: self.callers.len() as u32,
            waker,
            weight,
            unique: self.unique.then_some((u64::from(unique / 2), unique)),
            seen: observe::Caller::current(),
        }
    }

    /// An item comes into the open batch, if there is room.
    fn add(
        &mut self,
        coming: Coming<u32, u32, Waker>,
        by: &By,
    ) -> Result<Id, Coming<u32, u32, Waker>> {
        let (weight, unique) = (coming.weight, unique_of(&coming));
        let now = self.now();
        let expected = self.expected_place(weight, unique);
        match self.group.add(coming, Some(now)) {
            Added::Placed(Placed {
                shared,
                ticket,
                adopts,
                wake,
                ..
            }) => {
                wake.into_iter().for_each(Waker::wake);
                let id = shared.id;
                if let Some(expected) = expected {
                    assert_eq!(id, expected, "the free place was not filled");
                }
                self.placed(id, ticket, adopts, (weight, unique), by);
                Ok(id)
            }
            Added::NoRoom { coming, wake } => {
                wake.into_iter().for_each(Waker::wake);
                assert_eq!(expected, None, "the free place was not filled");
                if let Some(last) = self.last_queued() {
                    let last = self.batches.get_mut(&last).unwrap();
                    let has_room = last.queued.len() < last.limits.size;
                    last.sealed |= !self.disturbed && has_room;
                }
                Err(coming)
            }
        }
    }

    /// An item opens a batch.
    fn open(&mut self, coming: Coming<u32, u32, Waker>, by: &By) -> Id {
        let (weight, unique) = (coming.weight, unique_of(&coming));
        let now = self.now();
        if self.new_limits {
            self.limits = limits(&mut self.rng, self.limits.concurrency.is_some());
        }
        let id = self.batches.len() as Id;
        let mut shared = Shared::new(0, 0);
        shared.id = id;
        let shared = Arc::new(shared);
        let opening = Opening {
            shared: shared.clone(),
            limits: self.limits,
            bulk: Call(
                self.semaphore
                    .clone()
                    .map(|semaphore| limited(semaphore, ())),
            ),
            items: Vec::new(),
            callers: Vec::new(),
            now,
        };
        let Opened { ticket, wake, .. } = self.group.open(id, opening, coming);
        wake.into_iter().for_each(Waker::wake);
        let batch = Batch {
            shared,
            limits: self.limits,
            queued: Vec::new(),
            stage: Stage::Queued,
            was_full: false,
            sealed: false,
            stale: false,
            task_polled: false,
            urgent: false,
            eligible_since: None,
        };
        self.batches.insert(id, batch);
        self.placed(id, ticket, Some(0), (weight, unique), by);
        id
    }

    /// An item has its place.
    fn placed(
        &mut self,
        id: Id,
        ticket: Ticket,
        task: Option<Turn>,
        (weight, unique): (u64, u32),
        by: &By,
    ) {
        assert!(
            self.last_queued().is_none_or(|last| last <= id),
            "an item went before one that was there"
        );
        let first_came = self.batches[&id].queued.first();
        let first_came = first_came.map_or(self.now_ms, |&first| self.callers[first].came);
        let number = self.callers.len();
        let batch = self.batches.get_mut(&id).unwrap();
        assert_eq!(batch.stage, Stage::Queued);
        assert!(
            !batch.sealed,
            "an item went into a batch that takes no more"
        );
        batch.stale |= !batch.task_polled && first_came != self.now_ms;
        batch.queued.push(number);
        batch.was_full = batch.queued.len() == batch.limits.size;
        self.callers.push(Caller {
            polled: by.polled.clone(),
            runtime: by.runtime,
            batch: id,
            ticket,
            in_batch: id,
            came: self.now_ms,
            weight,
            unique,
            waits: true,
            forgotten: false,
            list: by.list,
        });
        if let Some(list) = by.list {
            let list = &mut self.lists[list];
            let at = list.items.len();
            list.items.push(number);
            match list.parts.last_mut() {
                Some(part)
                    if part.at > 0 && part.batch == id && part.first + part.count == ticket =>
                {
                    part.count += 1;
                }
                _ => list.parts.push(Part {
                    batch: id,
                    first: ticket,
                    count: 1,
                    at,
                }),
            }
        }
        if let Some(turn) = task {
            self.spawn(by.runtime, id, turn);
        }
    }

    /// Where an item has to go, if that is certain.
    fn expected_place(&self, weight: u64, unique: u32) -> Option<Id> {
        let id = self.last_queued()?;
        let batch = &self.batches[&id];
        let items = batch.queued.iter().map(|&at| &self.callers[at]);
        let total: u64 = items.clone().map(|caller| caller.weight).sum();
        let fits = batch.queued.len() < batch.limits.size
            && batch
                .limits
                .max_weight
                .is_none_or(|most| total + weight <= most)
            && !(self.unique && items.clone().any(|caller| caller.unique == unique));
        // It must not come before an equal item that has passed this batch.
        let passed = self.batches.range(id + 1..).any(|(_, passed)| {
            let equal = |&at: &usize| self.callers[at].unique == unique;
            self.unique && passed.stage == Stage::Runs && passed.queued.iter().any(equal)
        });
        let queues = batch.limits.concurrency.is_some() || self.semaphore.is_some();
        let certain = queues && !self.disturbed && !self.new_limits;
        (fits && certain && !passed && !batch.sealed).then_some(id)
    }

    fn last_queued(&self) -> Option<Id> {
        let mut queued = self.batches.iter().rev();
        queued
            .find(|(_, batch)| batch.stage == Stage::Queued)
            .map(|(&id, _)| id)
    }

    fn spawn(&mut self, runtime: usize, batch: Id, turn: Turn) {
        self.tasks.push(Task {
            polled: Polled::new(true),
            runtime,
            batch,
            turn,
            seen: self.rng.one_in(2).then_some(0),
            first_poll: true,
            timer: None,
            runs: false,
            permit: None,
        });
    }

    /// A call is dropped: that of this caller.
    fn goes(&mut self, at: usize) {
        match self.callers[at].list {
            Some(list) => self.leave_list(list),
            None => self.leave(at),
        }
    }

    /// All items of a list leave: the others before the first, and of those in one batch the last before.
    fn leave_list(&mut self, list: usize) {
        self.lists[list].busy = true;
        let mut parts = mem::take(&mut self.lists[list].parts);
        if parts.first().is_some_and(|part| part.at == 0) {
            parts.rotate_left(1);
        }
        for part in parts {
            for n in (0..part.count).rev() {
                let item = self.lists[list].items[part.at + n as usize];
                let caller = &mut self.callers[item];
                (caller.batch, caller.ticket) = (part.batch, part.first + n);
                self.leave(item);
                // Others get on in between.
                if self.rng.one_in(8) {
                    self.poll_one();
                }
            }
        }
        self.lists[list].busy = false;
    }

    fn leave(&mut self, at: usize) {
        let caller = &mut self.callers[at];
        caller.waits = false;
        let (mut id, mut ticket) = (caller.batch, caller.ticket);
        let left = self.group.leave(id, ticket);
        if self.batches[&caller.in_batch].stage != Stage::Queued {
            assert!(
                left.is_none(),
                "an item was taken out of a call that had begun"
            );
            while let Leaves::Moved(to, now) = self.batches[&id].shared.leave(ticket) {
                (id, ticket) = (to.id, now);
            }
            assert_eq!(id, caller.in_batch);
            return;
        }
        assert_eq!(
            id, caller.in_batch,
            "items move only into a batch that runs"
        );
        let batch = self.batches.get_mut(&id).unwrap();
        let left = left.expect("a caller of a queued batch takes its item along");
        assert_eq!(left.item, at as u32);
        batch.queued.retain(|&other| other != at);
        assert_eq!(left.emptied.is_some(), batch.queued.is_empty());
        left.wake.into_iter().for_each(Waker::wake);
        assert!(
            left.unique
                .is_none_or(|value| value == self.callers[at].unique)
        );
        if left.emptied.is_some() {
            batch.stage = Stage::Empty;
            let (callers, observers) = batch.shared.end(Ended::Empty);
            assert!(callers.is_empty());
            observers.into_iter().for_each(Waker::wake);
        }
    }

    /// A bulk call waits for one of the batches.
    fn hurry(&mut self) {
        let queued = self
            .batches
            .iter()
            .filter(|(_, batch)| batch.stage == Stage::Queued);
        let queued: Vec<Id> = queued.map(|(&id, _)| id).collect();
        if queued.is_empty() {
            return;
        }
        let id = self.rng.of(&queued);
        self.batches.get_mut(&id).unwrap().urgent = true;
        self.disturbed = true;
        self.group.hurry(id).into_iter().for_each(Waker::wake);
    }

    fn flush(&mut self) {
        let (wake, cells) = self.group.flush();
        wake.into_iter().for_each(Waker::wake);
        let under_way: Vec<Id> = cells.iter().map(|shared| shared.id).collect();
        let expected = self.batches.iter_mut().filter_map(|(&id, batch)| {
            batch.sealed |= batch.stage == Stage::Queued;
            matches!(batch.stage, Stage::Queued | Stage::Runs).then_some(id)
        });
        let expected: Vec<Id> = expected.collect();
        let mut found = under_way.clone();
        found.sort_unstable();
        assert_eq!(found, expected, "a flush knows all that is under way");
        let flush = Polled::new(true);
        for id in &under_way {
            assert!(!self.batches[id].shared.has_ended(&flush.waker));
        }
        self.flushed.push((under_way, flush));
    }

    fn kill(&mut self, runtime: usize) {
        // Its tasks and its callers are dropped, in any order.
        loop {
            let tasks: Vec<usize> = (0..self.tasks.len())
                .filter(|&at| self.tasks[at].runtime == runtime)
                .collect();
            let callers: Vec<usize> = self
                .waiting()
                .filter(|&at| self.callers[at].runtime == runtime)
                .collect();
            if tasks.is_empty() && callers.is_empty() {
                break;
            }
            if callers.is_empty() || !tasks.is_empty() && self.rng.one_in(2) {
                let task = self.rng.of(&tasks);
                self.lose(task);
            } else {
                let caller = self.rng.of(&callers);
                self.goes(caller);
            }
        }
        self.runtimes[runtime].driven = true;
    }

    fn lose(&mut self, at: usize) {
        let task = self.tasks.remove(at);
        if task.runs {
            self.end_with(task.batch, Stage::RuntimeGone);
        } else {
            self.disturbed = true;
            let Orphaned { wake, place } = self.group.orphan(task.batch, task.turn);
            drop(place);
            let observers = self.batches[&task.batch].shared.observers();
            wake.into_iter().chain(observers).for_each(Waker::wake);
        }
    }

    fn end_one(&mut self) {
        let running: Vec<usize> = (0..self.tasks.len())
            .filter(|&at| self.tasks[at].runs && self.runtimes[self.tasks[at].runtime].driven)
            .collect();
        if running.is_empty() {
            return;
        }
        let at = self.rng.of(&running);
        let batch = self.tasks.remove(at).batch;
        let stage = self
            .rng
            .of(&[Stage::Ok, Stage::Ok, Stage::Ok, Stage::Panicked]);
        self.end_with(batch, stage);
    }

    fn end_with(&mut self, id: Id, stage: Stage) {
        let ends = self.group.ended(id);
        let wake = ends.next.into_iter().chain(ends.unblocked);
        let batch = self.batches.get_mut(&id).unwrap();
        assert_eq!(batch.stage, Stage::Runs);
        batch.stage = stage;
        let (callers, observers) = match stage {
            Stage::Ok => {
                let results = batch.queued.iter().map(|&item| item as u32 ^ 0x5555);
                batch.shared.end(Ended::with(results.collect()))
            }
            Stage::Panicked => batch.shared.end(Ended::Failed(Cause::Panic("no".into()))),
            Stage::NoTimers => batch.shared.end(Ended::Failed(Cause::NoTimers)),
            _ => batch.shared.end(Ended::Failed(Cause::RuntimeGone)),
        };
        let callers = callers.into_iter().filter_map(|caller| caller.waker);
        callers.chain(observers).chain(wake).for_each(Waker::wake);
    }

    // ---- runtimes and time

    fn poll_one(&mut self) -> bool {
        let tasks = (0..self.tasks.len()).filter(|&at| {
            let task = &self.tasks[at];
            !task.runs && task.polled.woken() && self.runtimes[task.runtime].driven
        });
        let callers = self.waiting().filter(|&at| {
            let caller = &self.callers[at];
            caller.list.is_none() && caller.polled.woken() && self.runtimes[caller.runtime].driven
        });
        let lists = (0..self.lists.len()).filter(|&at| {
            let list = &self.lists[at];
            let waits = !list.busy && !list.forgotten && !list.parts.is_empty();
            waits && list.polled.woken() && self.runtimes[list.runtime].driven
        });
        let flushes = (0..self.flushed.len()).filter(|&at| self.flushed[at].1.woken());
        let ready: Vec<(fn(&mut Self, usize), usize)> = tasks
            .map(|at| (Self::poll_task as _, at))
            .chain(callers.map(|at| (Self::poll_caller as _, at)))
            .chain(lists.map(|at| (Self::poll_list as _, at)))
            .chain(flushes.map(|at| (Self::poll_flush as _, at)))
            .collect();
        if ready.is_empty() {
            return false;
        }
        let (poll, at) = self.rng.of(&ready);
        poll(self, at);
        true
    }

    fn poll_flush(&mut self, at: usize) {
        let (under_way, flush) = self.flushed.swap_remove(at);
        flush.flag.0.store(false, SeqCst);
        let mut waits = false;
        for &id in &under_way {
            if self.batches[&id].shared.has_ended(&flush.waker) {
                continue;
            }
            waits = true;
            if let Some(turn) = self.group.adopt(id) {
                let driven = |&runtime: &usize| self.runtimes[runtime].driven;
                self.spawn((0..3).find(driven).unwrap_or(0), id, turn);
            }
        }
        if waits {
            self.flushed.push((under_way, flush));
        }
    }

    fn poll_task(&mut self, at: usize) {
        let now = self.now();
        let task = &mut self.tasks[at];
        if mem::take(&mut task.first_poll) && task.seen.is_none() {
            // It yields, and wants times to be exact.
            self.group.no_longer_fresh(task.batch);
            self.batches.get_mut(&task.batch).unwrap().task_polled = true;
            return;
        }
        task.polled.flag.0.store(false, SeqCst);
        let mut waker = None;
        let step = loop {
            let same = |old: &Waker| old.will_wake(&task.polled.waker);
            match self
                .group
                .go(task.batch, task.turn, task.seen, || now, same, &mut waker)
            {
                Ok(step) => break step,
                Err(Again::NeedsWaker) => waker = Some(task.polled.waker.clone()),
                Err(Again::GivesUp(permit)) => {
                    drop(permit);
                    return self.poll_task(at);
                }
            }
        };
        match step {
            Step::Gone => drop(self.tasks.remove(at)),
            Step::Fills(items) => {
                assert!(task.seen.is_some_and(|seen| seen < items), "it spins");
                task.seen = Some(items);
                task.polled.waker.wake_by_ref();
            }
            Step::Wait(Some(_)) if !self.runtimes[task.runtime].timers => {
                let Task {
                    batch: id, turn, ..
                } = self.tasks.remove(at);
                if let Some(run) = self.group.fail(id, turn) {
                    self.disturbed = true;
                    run.wake.into_iter().for_each(Waker::wake);
                    let batch = self.batches.get_mut(&id).unwrap();
                    batch.shared.run(run.callers);
                    batch.stage = Stage::Runs;
                    self.end_with(id, Stage::NoTimers);
                }
            }
            Step::Wait(until) => {
                if let Some(grant) = self.group.grant(task.batch) {
                    if grant.wakes(task.polled.waker.clone()) {
                        task.polled.waker.wake_by_ref();
                    }
                }
                task.timer = until;
                task.seen = None;
                self.batches.get_mut(&task.batch).unwrap().task_polled = true;
            }
            Step::Run(run) => {
                let id = task.batch;
                let own = run.items.len() - self.moved(id, run.moved);
                self.check_run(id, &run.items, run.closed, own);
                self.tasks[at].runs = true;
                self.starts(at, run.bulk);
                let batch = self.batches.get_mut(&id).unwrap();
                batch.stage = Stage::Runs;
                batch.shared.run(run.callers);
                run.wake.into_iter().for_each(Waker::wake);
                self.check_topped_up(id);
            }
        }
    }

    /// A bulk call takes its permit.
    fn starts(&mut self, at: usize, bulk: Call) {
        let (Some(semaphore), Some(limited)) = (&self.semaphore, bulk.0) else {
            return;
        };
        let id = self.tasks[at].batch;
        let permit = limited.starts();
        if semaphore.is_closed() {
            return;
        }
        let permit = permit.expect("it is open");
        let urgent = self.batches[&id].urgent;
        assert!(urgent || permit.is_some(), "it runs without a permit");
        self.tasks[at].permit = permit;
        // One that was blocked became due later.
        if !self.disturbed && !self.unique && self.limits.concurrency.is_none() {
            self.group.each_queued(|batch| {
                assert!(
                    batch.id > id || batch.bulk.permit() != Permit::Waits,
                    "its permit is that of a batch that was due before"
                );
            });
        }
    }

    /// Items have moved to this batch. Returns how many.
    fn moved(&mut self, id: Id, moved: Vec<TopUp<u32, Call, Waker, Arc<Shared<u32>>>>) -> usize {
        let mut count = 0;
        for moved in moved {
            let from = moved.from.id;
            assert!(id < from, "it stood behind");
            let to = self.batches[&id].shared.clone();
            moved.from.moves(moved.tickets, moved.offset, to);
            let (first, last) = moved.tickets;
            let rest = &mut self.batches.get_mut(&from).unwrap().queued;
            let goes = |at: &usize| (first..=last).contains(&self.callers[*at].ticket);
            let most = rest.iter().take_while(|at| goes(at)).count();
            let goes: Vec<usize> = rest.drain(..most).collect();
            assert_eq!(moved.emptied.is_some(), rest.is_empty());
            for &at in &goes {
                self.callers[at].in_batch = id;
            }
            count += goes.len();
            self.batches.get_mut(&id).unwrap().queued.extend(goes);
            if let Some(mut emptied) = moved.emptied {
                emptied.task().into_iter().for_each(Waker::wake);
                let batch = self.batches.get_mut(&from).unwrap();
                batch.stage = Stage::Empty;
                let (callers, observers) = batch.shared.end(Ended::Empty);
                assert!(callers.is_empty());
                observers.into_iter().for_each(Waker::wake);
            }
        }
        count
    }

    /// Under a limit, nobody waits for whom the bulk call that has just begun had room.
    fn check_topped_up(&self, id: Id) {
        let batch = &self.batches[&id];
        let queues = self.limits.concurrency.is_some() || self.semaphore.is_some();
        if !queues || self.disturbed || self.new_limits {
            return;
        }
        let mut behind = self
            .batches
            .range(id + 1..)
            .filter(|(_, it)| it.stage == Stage::Queued);
        let Some(next) = behind.find_map(|(&id, _)| (!self.is_blocked(id)).then_some(id)) else {
            return;
        };
        let next = &self.callers[self.batches[&next].queued[0]];
        let weight: u64 = batch.queued.iter().map(|&at| self.callers[at].weight).sum();
        let room = batch.queued.len() < batch.limits.size;
        let light = batch
            .limits
            .max_weight
            .is_none_or(|most| weight + next.weight <= most);
        let equal = self.unique
            && batch
                .queued
                .iter()
                .any(|&at| self.callers[at].unique == next.unique);
        assert!(
            !(room && light) || equal,
            "the batch {id} had room for the next item"
        );
    }

    /// Whether an item of this batch has to wait for an equal one that came before it.
    fn is_blocked(&self, id: Id) -> bool {
        let batch = &self.batches[&id];
        self.unique
            && batch
                .queued
                .iter()
                .any(|&at| self.older(at).next().is_some())
    }

    /// Equal items that came before, in other batches, and have not ended.
    fn older(&self, at: usize) -> impl Iterator<Item = usize> {
        let mine = &self.callers[at];
        (0..at).filter(move |&other| {
            let other_ = &self.callers[other];
            let batch = &self.batches[&other_.in_batch];
            other_.unique == mine.unique
                && other_.in_batch != mine.in_batch
                && matches!(batch.stage, Stage::Queued | Stage::Runs)
                && batch.queued.contains(&other)
        })
    }

    /// `own`: how many items it had before it was topped up.
    fn check_run(&self, id: Id, items: &[u32], closed: Closing, own: usize) {
        let batch = &self.batches[&id];
        assert_eq!(batch.stage, Stage::Queued, "a batch runs once");
        let queued: Vec<u32> = batch.queued.iter().map(|&at| at as u32).collect();
        assert_eq!(items, queued, "exactly those who wait, as they came");
        assert!(!queued.is_empty() && queued.len() <= batch.limits.size);
        let callers = || batch.queued.iter().map(|&at| &self.callers[at]);
        if let Some(most) = batch.limits.max_weight {
            let weight: u64 = callers().map(|caller| caller.weight).sum();
            assert!(weight <= most || queued.len() == 1, "too heavy");
        }
        if self.unique {
            let mut unique: Vec<u32> = callers().map(|caller| caller.unique).collect();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), queued.len(), "two are equal");
        }
        let others = self.running();
        if !batch.urgent {
            assert!(!self.is_blocked(id), "it overtakes an equal item");
            assert!(self.limits.concurrency.is_none_or(|most| others < most));
        }
        let oldest = callers().take(own).map(|caller| caller.came).min().unwrap();
        let slack = if batch.stale { TICK_MS } else { 0 };
        let due = oldest.saturating_add(batch.limits.delay_ms.unwrap_or(u64::MAX));
        match closed {
            Closing::Size => assert!(batch.was_full),
            Closing::Delay => assert!(due <= self.now_ms + slack, "too early"),
            Closing::Eager => assert!(batch.urgent || batch.limits.eager && others == 0),
            Closing::Flush => assert!(batch.sealed),
            Closing::Weight => assert!(self.weighs),
            Closing::Unique => assert!(self.unique),
        }
    }

    fn running(&self) -> usize {
        self.tasks.iter().filter(|task| task.runs).count()
    }

    fn poll_caller(&mut self, at: usize) {
        let caller = &self.callers[at];
        caller.polled.flag.0.store(false, SeqCst);
        let (id, ticket) = (caller.batch, caller.ticket);
        if let At::Moved(to, ticket) = self.poll_place(at, id, ticket) {
            let caller = &mut self.callers[at];
            (caller.batch, caller.ticket) = (to, ticket);
            self.poll_caller(at);
        }
    }

    /// A call with several items is polled: first its first item, then the others, the last part before.
    fn poll_list(&mut self, at: usize) {
        let list = &mut self.lists[at];
        list.polled.flag.0.store(false, SeqCst);
        let mut others = mem::take(&mut list.parts);
        let mut first = Vec::new();
        if others.first().is_some_and(|part| part.at == 0) {
            first.push(others.remove(0));
        }
        let (first, first_failed) = self.poll_parts(at, first);
        let (others, others_failed) = match first_failed {
            true => (others, false),
            false => self.poll_parts(at, others),
        };
        self.lists[at].parts = first.into_iter().chain(others).collect();
        if first_failed || others_failed {
            self.leave_list(at);
        }
    }

    /// Returns the parts that wait, and whether one has failed.
    fn poll_parts(&mut self, list: usize, mut parts: Vec<Part>) -> (Vec<Part>, bool) {
        let mut waits = Vec::new();
        let mut failed = false;
        while let Some(part) = parts.last_mut() {
            let item = self.lists[list].items[part.at];
            match self.poll_place(item, part.batch, part.first) {
                polled @ (At::Ended | At::Failed) => {
                    (part.first, part.count, part.at) =
                        (part.first + 1, part.count - 1, part.at + 1);
                    if part.count == 0 {
                        parts.pop();
                    }
                    if matches!(polled, At::Failed) && self.lists[list].panics {
                        failed = true;
                        break;
                    }
                }
                At::Waits => waits.extend(parts.pop()),
                At::Moved(to, first) => {
                    let shared = &self.batches[&part.batch].shared;
                    let follows = |n: &Ticket| match shared.moved(part.first + n) {
                        Some((shared, ticket)) => shared.id == to && ticket == first + n,
                        None => false,
                    };
                    let count = 1 + (1..part.count).take_while(follows).count() as Ticket;
                    let moved = Part {
                        batch: to,
                        first,
                        count,
                        at: part.at,
                    };
                    (part.first, part.at) = (part.first + count, part.at + count as usize);
                    part.count -= count;
                    if part.count == 0 {
                        parts.pop();
                    }
                    parts.push(moved);
                }
            }
        }
        parts.extend(waits.into_iter().rev());
        (parts, failed)
    }

    /// The place of an item is polled: this one, as far as its caller knows.
    fn poll_place(&mut self, at: usize, id: Id, ticket: Ticket) -> At {
        let caller = &mut self.callers[at];
        assert!(caller.waits, "an item is answered once");
        let runtime = caller.runtime;
        let ours = caller.polled.waker.clone();
        let batch = &self.batches[&id];
        let mut waker = None;
        loop {
            match batch
                .shared
                .poll(ticket, |old| old.will_wake(&ours), &mut waker)
            {
                Found::Result(result) => {
                    assert_eq!(batch.stage, Stage::Ok);
                    assert_eq!(result, at as u32 ^ 0x5555, "somebody else's result");
                    caller.waits = false;
                    return At::Ended;
                }
                Found::Failed(failure) => {
                    assert!(matches!(
                        (batch.stage, failure),
                        (Stage::Panicked, Cause::Panic(_))
                            | (Stage::RuntimeGone, Cause::RuntimeGone)
                            | (Stage::NoTimers, Cause::NoTimers)
                    ));
                    caller.waits = false;
                    return At::Failed;
                }
                Found::Runs => {
                    assert_eq!(batch.stage, Stage::Runs);
                    return At::Waits;
                }
                Found::NeedsWaker => waker = Some(ours.clone()),
                Found::Moved(to, ticket) => return At::Moved(to.id, ticket),
                Found::Queued => {
                    assert_eq!(batch.stage, Stage::Queued);
                    let same = |old: &Waker| old.will_wake(&ours);
                    match self.group.queuing(id, ticket, same, &mut waker) {
                        None => panic!("the queue does not know it"),
                        Some(Queuing::NeedsWaker) => waker = Some(ours.clone()),
                        Some(Queuing::Waits) => return At::Waits,
                        Some(Queuing::Adopts(turn)) => {
                            self.spawn(runtime, id, turn);
                            return At::Waits;
                        }
                        Some(Queuing::Rescues(other, turn)) => {
                            self.spawn(runtime, other.id, turn);
                            return At::Waits;
                        }
                    }
                }
            }
        }
    }

    /// Polls whatever is woken, where somebody polls, until nothing is.
    fn settle(&mut self) {
        let mut polls = 0;
        while self.poll_one() {
            polls += 1;
            assert!(polls < 10_000, "it spins");
        }
        self.check_settled();
    }

    fn advance(&mut self, ms: u64) {
        self.settle();
        let end = self.now_ms + ms;
        while self.now_ms < end {
            let tick = (self.now_ms / TICK_MS + 1) * TICK_MS;
            let timers = self.tasks.iter().filter(|task| !task.runs);
            let timers = timers.filter_map(|task| task.timer).map(|timer| {
                let from_start = timer.saturating_duration_since(self.start);
                u64::try_from(from_start.as_millis()).unwrap_or(u64::MAX)
            });
            let next = timers.filter(|&timer| timer > self.now_ms);
            self.now_ms = next.chain([tick, end]).min().unwrap();
            if self.now_ms == tick {
                let (mut tasks, mut places) = (Vec::new(), Vec::new());
                let (mut wake, mut stalled) = (Vec::new(), Vec::new());
                let now = self.now();
                self.group
                    .tick(now, &mut tasks, &mut places, &mut wake, &mut stalled);
                drop(places);
                self.disturbed |= !wake.is_empty();
                wake.extend(stalled.iter().flat_map(|shared| shared.observers()));
                wake.into_iter().for_each(Waker::wake);
            }
            let now = self.now();
            for task in &mut self.tasks {
                if task.timer.is_some_and(|timer| timer <= now) && !task.runs {
                    task.timer = None;
                    task.polled.waker.wake_by_ref();
                }
            }
            self.settle();
        }
    }

    /// With nothing left to poll, nothing that could be done is undone.
    fn check_settled(&mut self) {
        let running = self.running();
        assert_eq!(running, self.group.running());
        let has_slot = self.limits.concurrency.is_none_or(|most| running < most);
        let limited = self.limits.concurrency.is_some();
        let mut first = true;
        let blocked: Vec<Id> = self
            .batches
            .keys()
            .copied()
            .filter(|&id| self.is_blocked(id))
            .collect();
        for (&id, batch) in &mut self.batches {
            if batch.stage != Stage::Queued {
                continue;
            }
            let real = self.group.find(id).expect("it is queued");
            let (orphaned, turn, closed) = (real.orphaned, real.turn, real.closed.is_some());
            let permit = real.bulk.permit();
            let patience = STALL_MS << real.stalls;
            let oldest = batch.queued.iter().map(|&at| self.callers[at].came).min();
            let delay_ms = batch.limits.delay_ms.unwrap_or(u64::MAX);
            let due = oldest.unwrap().saturating_add(delay_ms) <= self.now_ms;
            let weight = batch.queued.iter().map(|&at| self.callers[at].weight);
            let oversize = batch
                .limits
                .max_weight
                .is_some_and(|most| weight.sum::<u64>() > most);
            let closed = closed || oversize || batch.queued.len() >= batch.limits.size;
            let eager = batch.limits.eager && running == 0 && first;
            let blocked = blocked.contains(&id);
            let eligible = batch.urgent
                || has_slot && (first || !limited) && (closed || due || eager) && !blocked;
            let could = eligible;
            let eligible = eligible && (batch.urgent || permit != Permit::Waits);
            if let Some(semaphore) = &self.semaphore {
                let free = semaphore.available_permits();
                assert!(
                    permit != Permit::Waits || free == 0,
                    "batch {id} waits for a permit, and there is one"
                );
            }
            first &= orphaned || blocked;
            let driven = |runtime: usize| self.runtimes[runtime].driven;
            let task = self
                .tasks
                .iter()
                .find(|task| task.batch == id && task.turn == turn);
            if orphaned {
                let kept = matches!(permit, Permit::Waits | Permit::Has);
                assert!(!kept, "nobody may be there to use the permit of batch {id}");
                let someone = batch
                    .queued
                    .iter()
                    .map(|&at| &self.callers[at])
                    .any(|caller| driven(caller.runtime) && !caller.forgotten);
                assert!(!someone, "nobody adopted batch {id}");
            }
            if permit == Permit::Has && !could {
                let asleep = task.is_none_or(|task| !driven(task.runtime));
                assert!(asleep, "batch {id} keeps a permit that it can't use");
            }
            batch.eligible_since = batch
                .eligible_since
                .filter(|&(_, since)| eligible && !orphaned && since == turn);
            if eligible && !orphaned {
                let task = task.expect("a batch that is no orphan has a task");
                assert!(!driven(task.runtime), "batch {id} could run and does not");
                let (since, _) = *batch.eligible_since.get_or_insert((self.now_ms, turn));
                assert!(self.now_ms - since <= patience, "batch {id} is held up");
            }
        }
        for at in self.waiting() {
            let caller = &self.callers[at];
            let waits = |&at: &usize| {
                let stage = self.batches[&self.callers[at].in_batch].stage;
                self.callers[at].waits && matches!(stage, Stage::Queued | Stage::Runs)
            };
            // A list is done when all of its items are.
            let waits = match caller.list {
                Some(list) => self.lists[list].items.iter().any(waits),
                None => waits(&at),
            };
            assert!(
                waits || !self.runtimes[caller.runtime].driven,
                "a caller hangs"
            );
        }
        for (under_way, _) in &self.flushed {
            let mut open = under_way.iter().map(|id| &self.batches[id]);
            let waits = open.any(|batch| matches!(batch.stage, Stage::Queued | Stage::Runs));
            assert!(waits, "a flush hangs");
        }
    }

    /// Everything comes to its end.
    fn end(&mut self) {
        self.runtimes
            .iter_mut()
            .for_each(|runtime| runtime.driven = true);
        self.held.clear();
        self.settle();
        for _ in 0..1_000 {
            while self.running() > 0 {
                self.end_one();
                self.settle();
            }
            if self.waiting().next().is_none() && self.flushed.is_empty() {
                break;
            }
            self.advance(10);
        }
        assert_eq!(self.waiting().next(), None, "somebody hangs");
        assert!(self.flushed.is_empty(), "a flush hangs");
        // What nobody waits for is left to a flush.
        self.flush();
        for _ in 0..100 {
            self.settle();
            self.end_one();
        }
        assert!(self.group.is_idle(), "something is left");
        assert!(self.tasks.is_empty(), "a task is left");
        assert!(self.flushed.is_empty(), "a flush hangs");
        if let Some(semaphore) = &self.semaphore {
            assert_eq!(semaphore.available_permits(), self.permits);
        }
    }
}

/// Their values may change from batch to batch, but not whether there is an option `concurrency`.
fn limits(rng: &mut Rng, is_limited: bool) -> Limits {
    let mut limits = Limits::new(rng.below(5), rng.of(&[0, 5, 10, 170]));
    if rng.one_in(3) {
        limits = limits.max_weight(5);
    }
    if is_limited {
        limits = limits.concurrency(rng.of(&[1, 1, 2, 3]));
    }
    if rng.one_in(3) {
        limits = limits.eager();
        if rng.one_in(2) {
            limits.delay_ms = None;
        }
    }
    limits
}

fn unique_of(coming: &Coming<u32, u32, Waker>) -> u32 {
    coming.unique.map_or(0, |(_, unique)| unique)
}
