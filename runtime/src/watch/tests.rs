use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::Instant;

use super::armed::{Job, Round, Strong, Visit};
use super::threads::{MOST_HELPERS, RETRY, State};
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
    // A table that is armed in the meantime waits for the next pass.
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
    // A table that is in use is left as it is.
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
