//! Looks, every now and then, for executions that do not get on although they could.
//!
//! What is watched is a table as a whole: while it has something to look at, it is ticked twice in each [`STALL`], and
//! what a flight pays is a note in its shard's list. The ticks come from a task on the tokio runtime of the caller that
//! armed the watch, by tokio's clock, so that they are exact where time is paused. That runtime may stop, or be one that
//! nobody drives, or there may be none: a thread of ours looks after the tickers by the real clock, ticks for one that
//! stands still for as long as it does, and ends when nothing is armed.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;

/// How long an execution may stand still before it is prodded, and then again before its place is taken.
pub(crate) const STALL: Duration = Duration::from_millis(100);

/// The time between two ticks.
const TICK: Duration = STALL.checked_div(2).unwrap();

/// A table with something to look at.
pub(crate) trait Watched: Send + Sync + 'static {
    fn watch(&self) -> &Watch;
    /// Takes one look. Returns whether there is anything left to look at.
    fn tick(&self) -> bool;
}

/// The state of a table's watch.
#[derive(Debug)]
pub(crate) struct Watch {
    armed: AtomicBool,
    /// Who ticks: a ticker that finds another number has been replaced.
    ticker: AtomicU32,
    /// How often it was ticked.
    ticks: AtomicU32,
    /// Held during a tick.
    looking: Mutex<()>,
    /// A runtime without timers was met: the thread ticks, from then on.
    timerless: AtomicBool,
}

impl Watch {
    pub(crate) const fn new() -> Self {
        Self {
            armed: AtomicBool::new(false),
            ticker: AtomicU32::new(0),
            ticks: AtomicU32::new(0),
            looking: Mutex::new(()),
            timerless: AtomicBool::new(false),
        }
    }

    /// No ticks but those that a model makes.
    #[cfg(test)]
    pub(crate) fn by_hand(&self) {
        self.armed.store(true, SeqCst);
    }
}

/// Has the table ticked from now on, until it has nothing left to look at. Called after a note was left in a shard's list
/// under its lock, so that either the note is seen by the last tick or the disarming is seen here.
#[inline]
pub(crate) fn arm<H>(table: &H)
where
    H: Deref<Target: Watched> + Clone + Send + 'static,
{
    if !table.watch().armed.load(SeqCst) {
        start(table, Handle::try_current().ok());
    }
}

/// The same for what only the thread need look after.
pub(crate) fn arm_thread<H>(table: &H)
where
    H: Deref<Target: Watched> + Clone + Send + 'static,
{
    if !table.watch().armed.load(SeqCst) {
        start(table, None);
    }
}

#[cold]
fn start<H>(table: &H, runtime: Option<Handle>)
where
    H: Deref<Target: Watched> + Clone + Send + 'static,
{
    let watch = table.watch();
    if watch.armed.swap(true, SeqCst) {
        return;
    }
    let number = watch.ticker.fetch_add(1, SeqCst).wrapping_add(1);
    let mut missed = PATIENCE;
    if let Some(runtime) = runtime.filter(|_| !watch.timerless.load(SeqCst)) {
        runtime.spawn(ticker(table.clone(), number));
        missed = 0;
    }
    guard(Box::new(Guarded {
        table: table.clone(),
        number,
        ticks: watch.ticks.load(SeqCst),
        missed,
        disarmed: false,
    }));
}

/// The task that ticks.
async fn ticker<H: Deref<Target: Watched>>(table: H, number: u32) {
    /// A sleep panics on a runtime without timers.
    struct Timers<'a>(&'a Watch);
    impl Drop for Timers<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                self.0.timerless.store(true, SeqCst);
            }
        }
    }
    loop {
        let timers = Timers(table.watch());
        tokio::time::sleep(TICK).await;
        drop(timers);
        let watch = table.watch();
        if watch.ticker.load(SeqCst) != number || !look(&*table) {
            return;
        }
    }
}

/// One tick. Returns whether the watch stays armed.
fn look<T: Watched + ?Sized>(table: &T) -> bool {
    let watch = table.watch();
    // A ticker that goes on again may meet the thread: one of them is enough, and what one has in hand the other misses.
    let _looking = match watch.looking.try_lock() {
        Ok(looking) => looking,
        Err(TryLockError::Poisoned(looking)) => looking.into_inner(),
        Err(TryLockError::WouldBlock) => return true,
    };
    watch.ticks.fetch_add(1, SeqCst);
    if table.tick() {
        return true;
    }
    watch.armed.store(false, SeqCst);
    // A note that was left while we still counted as armed: whoever left it relies on us, unless another has armed since.
    table.tick() && !watch.armed.swap(true, SeqCst)
}

/// A table whose ticker is looked after.
struct Guarded<H> {
    table: H,
    number: u32,
    ticks: u32,
    missed: u8,
    /// Whether it was found disarmed. A ticker may arm it again at the last moment: it is let go the second time.
    disarmed: bool,
}

trait Guard: Send {
    /// Returns whether to go on.
    fn round(&mut self) -> bool;
}

/// Rounds without a tick after which the thread ticks itself.
const PATIENCE: u8 = 2;

impl<H: Deref<Target: Watched> + Send> Guard for Guarded<H> {
    fn round(&mut self) -> bool {
        let watch = self.table.watch();
        if watch.ticker.load(SeqCst) != self.number {
            // Armed anew, and guarded by another.
            return false;
        }
        if !watch.armed.load(SeqCst) {
            return !std::mem::replace(&mut self.disarmed, true);
        }
        self.disarmed = false;
        let ticks = watch.ticks.load(SeqCst);
        self.missed = if ticks == self.ticks {
            (self.missed + 1).min(PATIENCE)
        } else {
            0
        };
        self.ticks = ticks;
        if self.missed < PATIENCE {
            return true;
        }
        self.ticks = self.ticks.wrapping_add(1);
        look(&*self.table)
    }
}

/// What the thread has to do, and whether there is one.
struct Rounds {
    guarded: Vec<Box<dyn Guard>>,
    running: bool,
}

static ROUNDS: Mutex<Rounds> = Mutex::new(Rounds {
    guarded: Vec::new(),
    running: false,
});

fn rounds() -> MutexGuard<'static, Rounds> {
    ROUNDS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn guard(guarded: Box<dyn Guard>) {
    let mut rounds = rounds();
    rounds.guarded.push(guarded);
    if !rounds.running {
        // Where no thread can be had, tickers have to do.
        rounds.running = thread::Builder::new()
            .name("piggyback-watch".into())
            .spawn(walk)
            .is_ok();
    }
}

/// The thread.
fn walk() {
    loop {
        thread::sleep(TICK);
        let mut guarded = std::mem::take(&mut rounds().guarded);
        guarded.retain_mut(|guarded| guarded.round());
        let mut rounds = rounds();
        rounds.guarded.append(&mut guarded);
        if rounds.guarded.is_empty() {
            rounds.guarded = Vec::new();
            rounds.running = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// At each look there is something left to look at, or not.
    struct Looked {
        watch: Watch,
        left: Mutex<Vec<bool>>,
    }

    impl Watched for Looked {
        fn watch(&self) -> &Watch {
            &self.watch
        }
        fn tick(&self) -> bool {
            self.left.lock().unwrap().pop().expect("no more looks")
        }
    }

    fn armed(left: &[bool]) -> Arc<Looked> {
        let watch = Watch::new();
        watch.by_hand();
        Arc::new(Looked {
            watch,
            left: Mutex::new(left.iter().rev().copied().collect()),
        })
    }

    #[test]
    fn what_comes_while_the_watch_is_disarmed_arms_it_again() {
        let table = armed(&[true, false, true, false, false]);
        for goes_on in [true, true, false] {
            assert_eq!(look(&*table), goes_on);
            assert_eq!(table.watch.armed.load(SeqCst), goes_on);
        }
        assert!(table.left.lock().unwrap().is_empty());
    }

    #[test]
    fn the_thread_lets_a_disarmed_table_go_the_second_time() {
        let table = armed(&[]);
        let mut guarded = Guarded {
            table: table.clone(),
            number: 0,
            ticks: 0,
            missed: 0,
            disarmed: false,
        };
        table.watch.armed.store(false, SeqCst);
        assert!(guarded.round());
        // A ticker armed it at the last moment.
        table.watch.armed.store(true, SeqCst);
        assert!(guarded.round());
        table.watch.armed.store(false, SeqCst);
        assert_eq!([guarded.round(), guarded.round()], [true, false]);
    }
}
