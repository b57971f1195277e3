//! Looks every now and then for executions that make no progress although they could.
//!
//! A table is watched as a whole. While there is something in it to look at it is *armed*, and the watch passes through it
//! every [`TICK`]; a flight pays with a note in its shard's list. One thread, `piggyback-watch`, serves the whole process
//! by std's clock. It depends on no runtime, so a runtime that is paused, late, stopped or without timers changes nothing
//! for it, and it changes nothing for the runtime: a paused clock is neither advanced nor kept busy.
//!
//! The thread never runs foreign code. A waker, the drop of a value and a subscriber of events may panic or block, so
//! what a look finds is handed to a second thread, `piggyback-wake`, one job per table. There are more of these threads
//! only while one of them is blocked: if a job is still queued at the next look, another thread is started, up to
//! [`MOST_HELPERS`]. A table is not looked at while a job of it is pending, so a waker that blocks occupies one thread and
//! delays only its own function. A job wakes first, then drops, then emits events, and guards each of these calls by
//! itself.
//!
//! Both threads wait without waking up when there is nothing to do, and end after [`LINGER`]. If no thread can be started,
//! each later call that would need the watch tries again. The memory of a table is not kept by the watch.
//!
//! The threads inherit the scheduling priority and the CPU mask of the thread that happens to start them. std can't
//! change either.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};
use std::{mem, process};

use once_cell::sync::OnceCell;

use crate::fixed::Fixed;
use crate::observe::Function;
use crate::sync::{AtomicBool, AtomicU32, StaticU32};
use crate::wake::{discard, guarded, wake_all};

/// How long an execution may stand still before it is prodded, and then again before its place is taken.
pub(crate) const STALL: Duration = Duration::from_millis(100);

/// The time between the end of one pass and the start of the next.
const TICK: Duration = STALL.checked_div(2).unwrap();

/// How long a thread with nothing to do waits before it ends.
const LINGER: Duration = if cfg!(test) {
    Duration::from_millis(200)
} else {
    Duration::from_secs(5)
};

/// The most threads that run foreign code at the same time.
const MOST_HELPERS: usize = 16;

/// How long to wait after a thread could not be started.
const RETRY: Duration = Duration::from_millis(10);

/// A table that has something to look at.
pub(crate) trait Watched: Send + Sync + 'static {
    fn watch(&self) -> &Watch;
    fn function(&self) -> &Function;
    /// Goes on with a pass. Returns whether anything is left in the table, or `None` if the budget is spent before the
    /// pass has ended. Calls no foreign code: what is to be woken, dropped and told goes to `actions`.
    fn look(&self, pass: &mut Pass, budget: &mut Budget, actions: &mut Actions) -> Option<bool>;
    /// Whether there is nothing to look at.
    fn is_quiet(&self) -> bool;

    /// A whole pass, and what follows from it. Returns whether anything is left.
    #[cfg(test)]
    fn tick(&self) -> bool {
        let mut actions = Actions::default();
        let left = self.look(&mut Pass::default(), &mut Budget(u32::MAX), &mut actions);
        actions.act(self.function());
        left.expect("this budget is enough for any test")
    }
}

/// Something that stands still, of which an event tells.
pub(crate) trait Stalled: Send + Sync {
    fn warn(&self, function: &Function);
    /// Says that others have waited for it for long.
    fn warn_long(&self, _: &Function) {}
}

/// Where a pass through a table is.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    pub(crate) shard: usize,
    /// In the shard; what it means is the table's business. `None`: the shard has not been looked at.
    pub(crate) at: Option<usize>,
    /// Whether anything was left in the shards before.
    pub(crate) any: bool,
}

impl Pass {
    /// Goes on to the next shard. `any` says whether anything is left in this one.
    pub(crate) fn next_shard(&mut self, any: bool) {
        self.shard += 1;
        self.at = None;
        self.any |= any;
    }
}

/// How much work is left for this tick, in nanoseconds by a rough estimate.
///
/// It keeps the watch below a twentieth of one core, however much there is to look at: what the budget of a tick does not
/// pay for waits for the next tick, so that very many executions are looked at less often.
#[derive(Debug)]
pub(crate) struct Budget(u32);

impl Budget {
    /// Of one tick: 3 % of a core.
    const TICK: u32 = 1_500_000;
    /// The visit of a table.
    const VISIT: u32 = 150;
    /// A look at a flight.
    pub(crate) const FLIGHT: u32 = 100;
    /// A look at a group, most of whose queue is in no cache.
    pub(crate) const GROUP: u32 = 350;
    /// A leader that is woken, is polled, and goes on waiting.
    pub(crate) const PROD: u32 = 500;

    pub(crate) fn spend(&mut self, cost: u32) {
        self.0 = self.0.saturating_sub(cost);
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

/// What a look has found to be done: all of it calls foreign code.
#[derive(Default)]
pub(crate) struct Actions {
    pub(crate) wake: Vec<Waker>,
    pub(crate) drop: Vec<Waker>,
    /// Places in queues for permits, to be dropped: that may wake others.
    pub(crate) places: Vec<Box<dyn Send>>,
    pub(crate) stalled: Vec<Arc<dyn Stalled>>,
    /// Those that others have waited for for long.
    pub(crate) long: Vec<Arc<dyn Stalled>>,
}

impl Actions {
    fn is_empty(&self) -> bool {
        self.wake.is_empty()
            && self.drop.is_empty()
            && self.places.is_empty()
            && self.stalled.is_empty()
            && self.long.is_empty()
    }

    /// Wakes first, tells last.
    fn act(self, function: &Function) {
        wake_all(self.wake);
        self.drop.into_iter().for_each(|waker| discard(Some(waker)));
        for place in self.places {
            guarded(|| drop(place));
        }
        for stalled in self.stalled {
            guarded(|| stalled.warn(function));
            guarded(|| drop(stalled));
        }
        for long in self.long {
            guarded(|| long.warn_long(function));
            guarded(|| drop(long));
        }
    }
}

/// The state of a table's watch.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The process whose watch has the table in its list, or 0.
    armed: AtomicU32,
    /// What a look has found is still being done.
    acting: AtomicBool,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            armed: AtomicU32::new(0),
            acting: AtomicBool::new(false),
        }
    }

    /// Only the ticks that a model makes.
    #[cfg(test)]
    pub(crate) fn by_hand(&self) {
        self.armed.store(BY_HAND, SeqCst);
    }
}

#[cfg(test)]
const BY_HAND: u32 = u32::MAX;

/// The process that has a watch thread, or 0.
static WATCHING: StaticU32 = StaticU32::new(0);

/// Has the table watched from now on, until there is nothing left to look at. Called after a note was left in a shard's
/// list under its lock, so that either the last look sees the note or this call sees that the table is disarmed.
#[inline]
pub(crate) fn arm<H>(table: &H)
where
    H: Deref<Target: Watched + Sized> + Clone + Send + 'static,
{
    let armed = table.watch().armed.load(SeqCst);
    if armed == 0 || armed != WATCHING.load(SeqCst) || may_have_forked() {
        start(table);
    }
}

/// A child after `fork` inherits tables that are armed, and no thread. Whether this is such a child is a system call, so only
/// the first call of each thread and then every 64th asks. A table that is armed anew always does.
#[inline]
fn may_have_forked() -> bool {
    thread_local! {
        static CALLS: Cell<u8> = const { Cell::new(0) };
    }
    CALLS.with(|calls| calls.replace(calls.get().wrapping_add(1))) % 64 == 0
}

#[cold]
fn start<H>(table: &H)
where
    H: Deref<Target: Watched + Sized> + Clone + Send + 'static,
{
    #[cfg(test)]
    if table.watch().armed.load(SeqCst) == BY_HAND {
        return;
    }
    let process = Process::current();
    process.arm(Armed::new(table, process.id));
}

/// How the watch knows a table. It must not keep it: dropping a scope drops its tables, armed or not.
#[derive(Clone)]
enum Held {
    Fixed(&'static dyn Watched),
    Scoped(Weak<dyn Watched>),
}

impl Held {
    /// All handles of tables are one of these two types. Asking at run time spares a bound on everything that is generic
    /// over them.
    fn of<H>(table: &H) -> Self
    where
        H: Deref<Target: Watched + Sized> + 'static,
    {
        let any: &dyn Any = table;
        if let Some(Fixed(table)) = any.downcast_ref::<Fixed<H::Target>>() {
            return Self::Fixed(*table);
        }
        match any.downcast_ref::<Arc<H::Target>>() {
            Some(table) => Self::Scoped(Arc::<H::Target>::downgrade(table)),
            None => unreachable!("a table is static or in an `Arc`"),
        }
    }

    fn upgrade(&self) -> Option<Strong> {
        match self {
            Self::Fixed(table) => Some(Strong::Fixed(*table)),
            Self::Scoped(table) => table.upgrade().map(Strong::Scoped),
        }
    }

    fn is_alive(&self) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Scoped(table) => table.strong_count() > 0,
        }
    }
}

enum Strong {
    Fixed(&'static dyn Watched),
    Scoped(Arc<dyn Watched>),
}

impl Deref for Strong {
    type Target = dyn Watched;
    fn deref(&self) -> &dyn Watched {
        match self {
            Self::Fixed(table) => *table,
            Self::Scoped(table) => &**table,
        }
    }
}

/// A table in the watch's list.
struct Armed {
    table: Held,
    pass: Pass,
}

/// What a visit of a table leads to.
#[derive(Debug, PartialEq, Eq)]
enum Visit {
    /// The budget is spent: it goes on from here.
    Unfinished,
    /// It stays in the list.
    Stays,
    /// It leaves the list.
    Leaves,
}

impl Armed {
    /// What to add to the list of this process, if the table is not there.
    fn new<H>(table: &H, process: u32) -> Option<Self>
    where
        H: Deref<Target: Watched + Sized> + 'static,
    {
        let before = table.watch().armed.swap(process, SeqCst);
        (before != process).then(|| Self {
            table: Held::of(table),
            pass: Pass::default(),
        })
    }

    /// Looks at the table. Adds a job if anything is to be done.
    fn visit(&mut self, process: u32, budget: &mut Budget, jobs: &mut Vec<Job>) -> Visit {
        budget.spend(Budget::VISIT);
        let Some(table) = self.table.upgrade() else {
            return Visit::Leaves;
        };
        let watch = table.watch();
        if watch.acting.load(SeqCst) {
            return Visit::Stays;
        }
        let mut actions = Actions::default();
        let left = table.look(&mut self.pass, budget, &mut actions);
        if left.is_some() {
            self.pass = Pass::default();
        }
        let visit = match left {
            None => Visit::Unfinished,
            Some(true) => Visit::Stays,
            Some(false) => {
                // A swap and not a store, because the model checker orders only read-modify-writes exactly.
                watch.armed.swap(0, SeqCst);
                // A note may have been left while the table still counted as armed. Whoever left it relies on this thread,
                // unless another call has armed the table since.
                let stays = !table.is_quiet()
                    && watch
                        .armed
                        .compare_exchange(0, process, SeqCst, SeqCst)
                        .is_ok();
                if stays { Visit::Stays } else { Visit::Leaves }
            }
        };
        if actions.is_empty() {
            // Its owner may have dropped it in the meantime.
            guarded(|| drop(table));
        } else {
            watch.acting.store(true, SeqCst);
            jobs.push(Job { table, actions });
        }
        visit
    }
}

/// Foreign code to be run for one table.
struct Job {
    table: Strong,
    actions: Actions,
}

impl Job {
    fn run(self) {
        let Self { table, actions } = self;
        actions.act(table.function());
        table.watch().acting.store(false, SeqCst);
        guarded(|| drop(table));
    }
}

/// The watch of one process. A child after `fork` has its own and touches none of its parent's locks, which may be held for
/// ever in the child.
struct Process {
    id: u32,
    state: Mutex<State>,
    /// The watch thread waits here for tables.
    tables: Condvar,
    /// The helpers wait here for jobs.
    jobs: Condvar,
    child: OnceCell<Box<Process>>,
}

#[derive(Default)]
struct State {
    /// Tables that were armed since the last tick.
    armed: Vec<Armed>,
    /// Whether there is a watch thread.
    watching: bool,
    /// When to try again to start one.
    retry: Option<Instant>,
    jobs: VecDeque<Job>,
    helpers: usize,
    /// How many of them wait for a job.
    idle: usize,
}

impl State {
    /// Whether to try to start a thread, now that there is none. If that fails, not again before some time has passed.
    fn may_try(&mut self, now: Instant) -> bool {
        let may = self.retry.is_none_or(|retry| now >= retry);
        if may {
            self.retry = Some(now + RETRY);
        }
        may
    }
}

impl Process {
    fn new(id: u32) -> Self {
        Self {
            id,
            state: Mutex::default(),
            tables: Condvar::new(),
            jobs: Condvar::new(),
            child: OnceCell::new(),
        }
    }

    /// The last of the chain is that of this process, or of the parent.
    fn current() -> &'static Self {
        static FIRST: OnceCell<Box<Process>> = OnceCell::new();
        let id = process::id();
        let mut process = FIRST.get_or_init(|| Box::new(Self::new(id)));
        while let Some(child) = process.child.get() {
            process = child;
        }
        if process.id != id {
            process = process.child.get_or_init(|| Box::new(Self::new(id)));
        }
        process
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a table to the list, if it is not there, and sees to it that there is a thread.
    fn arm(&'static self, new: Option<Armed>) {
        let mut state = self.lock();
        if let Some(new) = new {
            let list = &mut state.armed;
            if list.len() == list.capacity() {
                // Without a thread, tables of scopes that are gone would pile up.
                list.retain(|armed| armed.table.is_alive());
                list.reserve(list.len().max(4));
            }
            list.push(new);
        }
        if state.watching {
            self.tables.notify_one();
        } else if state.may_try(Instant::now()) && spawn("piggyback-watch", || self.watch()) {
            state.watching = true;
            state.retry = None;
            WATCHING.store(self.id, SeqCst);
        }
    }

    /// The watch thread.
    fn watch(&'static self) {
        let mut round = Round::default();
        loop {
            let mut state = self.lock();
            while state.armed.is_empty() && round.list.is_empty() {
                round = Round::default();
                let waited = self.tables.wait_timeout(state, LINGER);
                let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                state = guard;
                if waited.timed_out() && state.armed.is_empty() {
                    state.armed = Vec::new();
                    state.watching = false;
                    WATCHING.store(0, SeqCst);
                    return;
                }
            }
            drop(state);
            thread::sleep(TICK);
            round.list.extend(mem::take(&mut self.lock().armed));
            let jobs = round.tick(self.id);
            self.hand(jobs);
        }
    }

    /// Hands jobs to a helper.
    fn hand(&'static self, jobs: Vec<Job>) {
        let mut state = self.lock();
        state.jobs.extend(jobs);
        if state.jobs.is_empty() {
            return;
        }
        if state.idle > 0 {
            self.jobs.notify_one();
        } else if state.helpers < MOST_HELPERS {
            if spawn("piggyback-wake", || self.help()) {
                state.helpers += 1;
            } else if state.helpers == 0 {
                // Better here than never.
                let jobs = mem::take(&mut state.jobs);
                drop(state);
                jobs.into_iter().for_each(Job::run);
            }
        }
    }

    /// A helper.
    fn help(&self) {
        let mut state = self.lock();
        loop {
            while let Some(job) = state.jobs.pop_front() {
                drop(state);
                job.run();
                state = self.lock();
            }
            state.idle += 1;
            let waited = self.jobs.wait_timeout(state, LINGER);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.helpers -= 1;
                return;
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> bool {
    let thread = thread::Builder::new().name(name.into());
    thread.spawn(run).is_ok()
}

/// The list of armed tables. Each pass visits all of them once, in as many ticks as the budget asks for.
#[derive(Default)]
struct Round {
    list: VecDeque<Armed>,
    /// How many are still to be visited in this pass.
    left: usize,
}

impl Round {
    fn tick(&mut self, process: u32) -> Vec<Job> {
        let (mut budget, mut jobs) = (Budget(Budget::TICK), Vec::new());
        if self.left == 0 {
            self.left = self.list.len();
        }
        while self.left > 0 && !budget.is_spent() {
            let Some(mut armed) = self.list.pop_front() else {
                break;
            };
            let visit = || armed.visit(process, &mut budget, &mut jobs);
            // Foreign code is not called there. Should something of ours panic, the table is visited again.
            let visit = catch_unwind(AssertUnwindSafe(visit)).unwrap_or(Visit::Stays);
            if visit == Visit::Unfinished {
                self.list.push_front(armed);
                continue;
            }
            self.left -= 1;
            if visit == Visit::Stays {
                self.list.push_back(armed);
            }
        }
        // A list that was long for a moment is not kept that long.
        if self.list.len() < self.list.capacity() / 8 {
            self.list.shrink_to(self.list.len() * 2);
        }
        jobs
    }
}

#[cfg(test)]
mod models {
    use super::tests::{ID, Notes, notes, visit};
    use super::*;
    use crate::model::{model, spawn};
    use crate::sync::Mutex;

    /// Calls leave a note each, and arm the table, while the watch looks at it and disarms it. Whenever all stand still, the
    /// table is in the list once, or there is nothing to look at.
    #[test]
    fn an_armed_table_is_in_the_list_once_or_has_nothing_to_look_at() {
        struct World {
            table: Arc<Notes>,
            list: Mutex<Vec<Armed>>,
        }
        impl World {
            fn call(&self) {
                self.table.leave_a_note();
                if self.table.watch().armed.load(SeqCst) == 0 {
                    self.list.lock().extend(Armed::new(&self.table, ID));
                }
            }
            fn look(&self) {
                let list = mem::take(&mut *self.list.lock());
                assert!(list.len() <= 1, "it is there once");
                for mut armed in list {
                    if visit(&mut armed) == Visit::Stays {
                        self.list.lock().push(armed);
                    }
                }
            }
        }
        model(|| {
            let world = Arc::new(World {
                table: notes(0),
                list: Mutex::new(Vec::new()),
            });
            world.call();
            let calls = [(); 2].map(|()| {
                let world = world.clone();
                spawn(move || world.call())
            });
            let watch = world.clone();
            let watch = spawn(move || {
                watch.look();
                watch.look();
            });
            for call in calls {
                call.join().unwrap();
            }
            watch.join().unwrap();
            let listed = world.list.lock().len();
            assert!(listed == 1 || listed == 0 && world.table.is_quiet());
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::observe::Kind;
    use crate::sync::Mutex;

    pub(super) const ID: u32 = 7;

    /// A table in which each note is looked at once.
    pub(super) struct Notes {
        function: Function,
        watch: Watch,
        /// Behind a lock, as in a table.
        notes: Mutex<usize>,
        looks: AtomicUsize,
        cost: u32,
        wake: Option<Waker>,
    }

    impl Watched for Notes {
        fn watch(&self) -> &Watch {
            &self.watch
        }
        fn function(&self) -> &Function {
            &self.function
        }
        fn look(&self, _: &mut Pass, budget: &mut Budget, actions: &mut Actions) -> Option<bool> {
            budget.spend(self.cost);
            actions.wake.extend(self.wake.clone());
            self.looks.fetch_add(1, SeqCst);
            *self.notes.lock() = 0;
            Some(false)
        }
        fn is_quiet(&self) -> bool {
            *self.notes.lock() == 0
        }
    }

    impl Notes {
        pub(super) fn leave_a_note(&self) {
            *self.notes.lock() += 1;
        }
    }

    pub(super) fn notes(cost: u32) -> Arc<Notes> {
        Arc::new(Notes {
            function: Function::new("notes".into(), Kind::Dedup),
            watch: Watch::new(),
            notes: Mutex::new(0),
            looks: AtomicUsize::new(0),
            cost,
            wake: None,
        })
    }

    fn armed(table: &Arc<Notes>) -> Armed {
        Armed::new(table, ID).expect("it was not armed")
    }

    pub(super) fn visit(armed: &mut Armed) -> Visit {
        armed.visit(ID, &mut Budget(Budget::TICK), &mut Vec::new())
    }

    #[test]
    fn a_table_is_armed_once_and_again_after_it_was_disarmed() {
        let table = notes(0);
        let mut entry = armed(&table);
        assert!(Armed::new(&table, ID).is_none());
        assert_eq!(visit(&mut entry), Visit::Leaves);
        armed(&table);
    }

    #[test]
    fn a_child_process_arms_a_table_that_its_parent_had_armed() {
        let table = notes(0);
        armed(&table);
        assert!(Armed::new(&table, ID + 1).is_some());
    }

    #[test]
    fn the_watch_does_not_keep_a_table() {
        let table = notes(0);
        let mut entry = armed(&table);
        let weak = Arc::downgrade(&table);
        drop(table);
        assert!(weak.upgrade().is_none());
        assert!(!entry.table.is_alive());
        assert_eq!(visit(&mut entry), Visit::Leaves);
    }

    #[test]
    fn a_pass_that_the_budget_cuts_short_goes_on_where_it_was() {
        let tables: Vec<_> = (0..10).map(|_| notes(Budget::TICK / 4)).collect();
        let mut round = Round::default();
        round.list.extend(tables.iter().map(armed));
        let looks = || -> Vec<_> {
            let looks = tables.iter().map(|table| table.looks.load(SeqCst));
            looks.collect()
        };
        round.tick(ID);
        assert_eq!(looks(), [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
        // One that is armed in the meantime waits for the next pass.
        let late = notes(0);
        round.list.push_back(armed(&late));
        round.tick(ID);
        round.tick(ID);
        assert_eq!((looks(), late.looks.load(SeqCst)), (vec![1; 10], 0));
        round.tick(ID);
        assert_eq!((looks(), late.looks.load(SeqCst)), (vec![1; 10], 1));
    }

    #[test]
    fn a_look_that_finds_nothing_to_do_hands_nothing_over() {
        let table = notes(0);
        let (mut entry, mut jobs) = (armed(&table), Vec::new());
        entry.visit(ID, &mut Budget(Budget::TICK), &mut jobs);
        assert!(jobs.is_empty());
    }

    #[test]
    fn a_list_that_was_long_for_a_moment_is_not_kept_that_long() {
        let mut round = Round::default();
        let tables: Vec<_> = (0..1_000).map(|_| notes(0)).collect();
        round.list.extend(tables.iter().map(armed));
        round.tick(ID);
        assert!(round.list.is_empty() && round.list.capacity() < 100);
        // One that is in use is left as it is.
        round.list.reserve(64);
        let room = round.list.capacity();
        for table in &tables[..room / 8] {
            table.watch().acting.store(true, SeqCst);
            round.list.push_back(armed(table));
        }
        round.tick(ID);
        assert_eq!((round.list.len(), round.list.capacity()), (room / 8, room));
    }

    #[test]
    fn a_thread_that_could_not_be_started_is_tried_for_again_after_a_while() {
        let (mut state, now) = (State::default(), Instant::now());
        assert!(state.may_try(now));
        assert!(!state.may_try(now + RETRY / 2));
        assert!(state.may_try(now + RETRY));
        assert!(!state.may_try(now + RETRY));
    }

    #[test]
    fn tables_that_are_gone_do_not_pile_up_without_a_thread() {
        let process = process();
        process.lock().retry = Some(Instant::now() + Duration::from_secs(3_600));
        let kept = notes(0);
        process.arm(Armed::new(&kept, ID));
        for _ in 0..10_000 {
            process.arm(Armed::new(&notes(0), ID));
        }
        let state = process.lock();
        assert!(state.armed.len() < 100);
        assert!(state.armed[0].table.is_alive(), "only those that are gone");
    }

    /// A watch for one test. The static keeps it reachable, so that leak checkers don't report it.
    fn process() -> &'static Process {
        static KEPT: std::sync::Mutex<Vec<&Process>> = std::sync::Mutex::new(Vec::new());
        let process = Box::leak(Box::new(Process::new(ID)));
        KEPT.lock().unwrap().push(process);
        process
    }

    fn eventually(so: impl Fn() -> bool) {
        let start = Instant::now();
        while !so() {
            assert!(start.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Counts how often it is woken, and then waits for its gate.
    struct Gated {
        woken: AtomicUsize,
        closed: std::sync::Mutex<()>,
    }

    impl std::task::Wake for Gated {
        fn wake(self: Arc<Self>) {
            self.woken.fetch_add(1, SeqCst);
            drop(self.closed.lock());
        }
    }

    fn gated() -> Arc<Gated> {
        Arc::new(Gated {
            woken: AtomicUsize::new(0),
            closed: std::sync::Mutex::new(()),
        })
    }

    fn job(waker: &Arc<Gated>) -> Job {
        Job {
            table: Strong::Scoped(notes(0)),
            actions: Actions {
                wake: vec![waker.clone().into()],
                ..Actions::default()
            },
        }
    }

    #[test]
    fn both_threads_end_when_there_is_nothing_to_do_and_come_back() {
        let process = process();
        for round in 1..=2 {
            let waker = gated();
            let mut table = notes(0);
            Arc::get_mut(&mut table).unwrap().wake = Some(waker.clone().into());
            process.arm(Armed::new(&table, ID));
            eventually(|| waker.woken.load(SeqCst) == 1);
            assert_eq!(table.looks.load(SeqCst), 1, "in round {round}");
            eventually(|| {
                let state = process.lock();
                !state.watching && state.helpers == 0 && state.idle == 0
            });
        }
    }

    #[test]
    fn a_waker_that_blocks_occupies_one_helper_and_there_are_not_too_many() {
        let process = process();
        // As the watch thread does with each tick.
        let ticks_until = |so: &dyn Fn() -> bool| {
            eventually(|| {
                process.hand(Vec::new());
                so()
            });
        };
        let quick = gated();
        process.hand(vec![job(&quick)]);
        ticks_until(&|| {
            let state = process.lock();
            quick.woken.load(SeqCst) == 1 && state.idle == state.helpers
        });
        let slow = gated();
        let closed = slow.closed.lock().unwrap();
        process.hand(vec![job(&slow)]);
        ticks_until(&|| slow.woken.load(SeqCst) == 1);
        process.hand(vec![job(&quick)]);
        ticks_until(&|| quick.woken.load(SeqCst) == 2);
        for _ in 0..2 * MOST_HELPERS {
            process.hand(vec![job(&slow)]);
        }
        ticks_until(&|| slow.woken.load(SeqCst) == MOST_HELPERS);
        assert_eq!(process.lock().helpers, MOST_HELPERS);
        drop(closed);
        ticks_until(&|| slow.woken.load(SeqCst) == 1 + 2 * MOST_HELPERS);
    }

    #[test]
    fn a_table_whose_wakers_still_run_is_not_looked_at() {
        let mut table = notes(0);
        Arc::get_mut(&mut table).unwrap().wake = Some(Waker::noop().clone());
        let (mut entry, mut jobs) = (armed(&table), Vec::new());
        let mut budget = Budget(Budget::TICK);
        assert_eq!(entry.visit(ID, &mut budget, &mut jobs), Visit::Leaves);
        let mut entry = armed(&table);
        assert_eq!(entry.visit(ID, &mut budget, &mut jobs), Visit::Stays);
        assert_eq!((jobs.len(), table.looks.load(SeqCst)), (1, 1));
        jobs.remove(0).run();
        assert_eq!(entry.visit(ID, &mut budget, &mut jobs), Visit::Leaves);
        assert_eq!(table.looks.load(SeqCst), 2);
    }
}
