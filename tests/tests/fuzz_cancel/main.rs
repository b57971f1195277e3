//! Random schedules of calls that are begun, polled, woken, dropped and made to panic, under paused time.
//!
//! Each schedule is made from one number. Of 32 consecutive ones, 31 are the same story in which one caller is dropped at
//! one of its await points, each in turn; in the last, callers are dropped at random. In half of the stories one callback of
//! the user's (`Hash`, `Eq`, `Clone`, `Drop`, a waker, a closure of the attribute) panics, and bodies panic now and then.
//!
//! In every schedule, these must hold: every caller that stays gets an answer, of its own key, that was not there before it
//! began; nobody panics but for a panic that was injected, which stays with its caller or its execution; items are written
//! once, in order, in batches within their limits; and in the end nothing is left.
//!
//! `PIGGYBACK_FUZZ_SCHEDULES` says how many (20 000 by default), `PIGGYBACK_FUZZ_SEED` which is the first. A failure prints
//! the line that replays it.

mod functions;
mod objects;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use functions::{Answer, Called, begin, forget};
use objects::{Flag, Fuse, Random};
use world::World;

/// Schedules that tell the same story.
const STORY: u64 = 32;

#[test]
fn every_caller_gets_its_answer_whoever_is_dropped_or_panics() {
    let number = |name| std::env::var(name).ok().map(|it| it.parse().expect(name));
    let schedules = number("PIGGYBACK_FUZZ_SCHEDULES").unwrap_or(20_000);
    let first = number("PIGGYBACK_FUZZ_SEED").unwrap_or(0);
    let threads = std::thread::available_parallelism().map_or(1, |it| it.get() as u64);
    objects::silence_injected_panics();

    let (failed, polls) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (failed, polls) = (&failed, &polls);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build()
                    .unwrap();
                let numbers = (first..first + schedules).skip(thread as usize);
                for seed in numbers.step_by(threads as usize) {
                    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(seed))));
                    match outcome {
                        Ok(n) => polls.fetch_add(n, SeqCst),
                        Err(_) => {
                            failed.store(true, SeqCst);
                            eprintln!(
                                "replay: PIGGYBACK_FUZZ_SEED={seed} PIGGYBACK_FUZZ_SCHEDULES=1 cargo test -p piggyback-tests --test fuzz_cancel -- --nocapture"
                            );
                            return;
                        }
                    };
                    if failed.load(SeqCst) {
                        return;
                    }
                }
            });
        }
    });
    println!(
        "{schedules} schedules, {} polls, {:.1} s",
        polls.load(SeqCst),
        began.elapsed().as_secs_f64()
    );
    assert!(!failed.load(SeqCst), "a schedule failed: see above");
}

/// A caller of the story.
struct Caller {
    called: Option<Called>,
    flag: Arc<Flag>,
    polls: u64,
    /// When it began: at its first poll.
    began: u64,
    panicked: bool,
}

/// The things that are dropped, and when.
#[derive(Clone, Copy)]
enum Drops {
    AtRandom,
    /// The caller with this number, after this many polls.
    One(u64, u64),
}

struct Story {
    random: Random,
    world: Arc<World>,
    drops: Drops,
    callers: Vec<Caller>,
    polls: u64,
    fuse: Option<Fuse>,
    trace: bool,
}

/// Runs a schedule. Returns how many polls it took.
async fn run(seed: u64) -> u64 {
    let mut random = Random::new(seed / STORY);
    let function = random.below(functions::COUNT);
    let most = 2 + random.below(5);
    let drops = match seed % STORY {
        31 => Drops::AtRandom,
        victim => Drops::One(victim % most, victim / most),
    };
    let world = World::new(random.fork());
    let fuse = random
        .chance(50)
        .then(|| Fuse::light(random.below(objects::CALLBACKS), random.below(6)));
    let mut story = Story {
        random,
        world,
        drops,
        callers: Vec::new(),
        polls: 0,
        fuse,
        trace: std::env::var_os("PIGGYBACK_FUZZ_TRACE").is_some(),
    };
    story.log(|| format!("function {function}, up to {most} callers, fuse {fuse:?}"));
    for _ in 0..16 + story.random.below(40) {
        story.event(function, most).await;
    }
    story.finish().await;
    story.check(function);
    let Story {
        world,
        callers,
        polls,
        ..
    } = story;
    drop(callers);
    // Bulk calls without callers end, and so does the watch.
    for _ in 0..8 {
        world.open_all_gates();
        tokio::task::yield_now().await;
    }
    for _ in 0..4 {
        tokio::time::advance(Duration::from_millis(60)).await;
    }
    // A result that is being returned leaks when a local's `Drop` panics: the compiler's (rust-lang/rust#47949).
    let leaks = fuse.is_some_and(Fuse::is_of_a_drop);
    Fuse::put_out();
    world.is_empty(leaks);
    polls
}

impl Story {
    fn log(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{}", what());
        }
    }

    async fn event(&mut self, function: u64, most: u64) {
        match self.random.below(100) {
            0..25 if (self.callers.len() as u64) < most => self.begin(function),
            0..50 => {
                let woken: Vec<usize> = (0..self.callers.len())
                    .filter(|&at| self.callers[at].called.is_some() && self.callers[at].flag.get())
                    .collect();
                if !woken.is_empty() {
                    let at = woken[self.random.below(woken.len() as u64) as usize];
                    self.poll(at);
                }
            }
            50..58 => {
                if let Some(at) = self.any() {
                    self.poll(at);
                }
            }
            58..72 => self.world.open_a_gate(&mut self.random),
            72..84 => tokio::task::yield_now().await,
            84..92 => {
                let most = if self.random.chance(25) { 120 } else { 6 };
                let ms = 1 + self.random.below(most);
                self.log(|| format!("{ms} ms pass"));
                tokio::time::advance(Duration::from_millis(ms)).await;
            }
            92..97 => {
                if let (Drops::AtRandom, Some(at)) = (self.drops, self.any()) {
                    self.drop_caller(at);
                }
            }
            97..98 => {
                let world = self.world.clone();
                let key = self.random.below(2);
                self.log(|| format!("forget {key}"));
                self.caught(None, || forget(function, &world, key));
            }
            _ => {
                // Starts the batches, even if it is dropped at once.
                let scope = self.world.scope.clone();
                self.log(|| "flush".into());
                let mut flush = Box::pin(scope.flush());
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let _ = flush.as_mut().poll(&mut cx);
            }
        }
    }

    fn any(&mut self) -> Option<usize> {
        let live: Vec<usize> = (0..self.callers.len())
            .filter(|&at| self.callers[at].called.is_some())
            .collect();
        (!live.is_empty()).then(|| live[self.random.below(live.len() as u64) as usize])
    }

    fn begin(&mut self, function: u64) {
        let number = self.callers.len() as u64;
        let called = begin(function, &self.world, number, &mut self.random);
        self.log(|| format!("caller {number} of key {}", called.key));
        let polls_at_once = self.random.chance(70);
        self.callers.push(Caller {
            called: Some(called),
            flag: Arc::new(Flag::new(true)),
            polls: 0,
            began: 0,
            panicked: false,
        });
        let at = self.callers.len() - 1;
        if matches!(self.drops, Drops::One(victim, 0) if victim == number) {
            return self.drop_caller(at);
        }
        if polls_at_once {
            self.poll(at);
        }
    }

    /// Runs what may panic in one caller, for an injected reason only.
    fn caught<R>(&mut self, at: Option<usize>, act: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(act)) {
            Ok(value) => Some(value),
            Err(payload) => {
                let said = objects::message(&*payload);
                self.log(|| format!("panic: {said}"));
                assert!(said.contains("injected"), "caller {at:?} panicked: {said}");
                if let Some(at) = at {
                    self.callers[at].panicked = true;
                }
                None
            }
        }
    }

    fn drop_caller(&mut self, at: usize) {
        self.log(|| format!("caller {at} is dropped"));
        self.world.now();
        let called = self.callers[at].called.take();
        self.caught(Some(at), || drop(called));
    }

    fn poll(&mut self, at: usize) {
        let now = self.world.now();
        let caller = &mut self.callers[at];
        let Some(mut called) = caller.called.take() else {
            return;
        };
        if caller.polls == 0 {
            caller.began = now;
            self.world.comes(at as u64, now);
        }
        caller.polls += 1;
        self.polls += 1;
        caller.flag.set(false);
        let (began, polls) = (caller.began, caller.polls);
        let waker = Flag::waker(&caller.flag);
        let polled = self.caught(Some(at), || {
            called
                .future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
        });
        self.caught(Some(at), || drop(waker));
        self.log(|| format!("caller {at} is polled: {polled:?}"));
        match polled {
            Some(Poll::Pending) => {
                self.callers[at].called = Some(called);
                let drops = |victim, after| (victim, after) == (at as u64, polls);
                if matches!(self.drops, Drops::One(victim, after) if drops(victim, after)) {
                    self.drop_caller(at);
                }
            }
            Some(Poll::Ready(answer)) => {
                self.answered(&called, began, &answer);
                self.caught(Some(at), || drop(called));
                self.caught(Some(at), || drop(answer));
            }
            None => {
                self.caught(Some(at), || drop(called));
            }
        }
    }

    fn answered(&self, called: &Called, began: u64, answer: &Answer) {
        match answer {
            Answer::Flight(Ok(value)) => {
                assert_eq!(value.of, called.key, "another key's value");
                let ended = self.world.ended(value.execution);
                assert!(ended.is_some_and(|ended| ended >= began), "an old value");
            }
            Answer::Flight(Err(error)) => {
                let ended = self.world.ended(error.execution());
                assert!(ended.is_some_and(|ended| ended >= began), "an old error");
            }
            // May have joined a flight whose bulk call has ended, but whose leader has not been polled since: as with any
            // flight, it is up until its leader has the result.
            Answer::Loaded(value) => assert_eq!(value.of, called.key, "another key's value"),
            Answer::Batch(result) => {
                let item = called.item.expect("a batch's caller has an item");
                if let Ok(Some(value)) = result {
                    assert_eq!(value.of, item, "another item's result");
                }
                if let Some(bad) = called.splits {
                    assert_eq!(
                        result.is_err(),
                        bad,
                        "one bad item fails only its own caller"
                    );
                }
                if result.is_ok() {
                    assert_eq!(self.world.written(item), 1, "acknowledged, and not written");
                }
            }
        }
    }

    /// Each remaining caller is polled when it is woken, until all have an answer.
    async fn finish(&mut self) {
        for round in 0.. {
            self.world.open_all_gates();
            for at in 0..self.callers.len() {
                if self.callers[at].called.is_some() && self.callers[at].flag.get() {
                    self.poll(at);
                }
            }
            if self.callers.iter().all(|caller| caller.called.is_none()) {
                return;
            }
            tokio::task::yield_now().await;
            if round % 4 == 3 {
                tokio::time::advance(Duration::from_millis(10)).await;
            }
            if round > 2000 {
                let hang: Vec<_> = (0..self.callers.len())
                    .filter(|&at| self.callers[at].called.is_some())
                    .collect();
                panic!("callers {hang:?} hang");
            }
        }
    }

    fn check(&self, function: u64) {
        let panicked = self.callers.iter().filter(|caller| caller.panicked).count();
        // A body that owns its key drops it: then that is a panic of the body.
        let of_a_body = self.world.a_body_panicked() || self.fuse.is_some_and(Fuse::is_of_a_drop);
        if functions::is_flight(function) && !of_a_body {
            assert!(
                panicked <= 1,
                "{panicked} callers panicked for one callback"
            );
        }
    }
}
