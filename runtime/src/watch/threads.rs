//! The threads of the watch: one that looks, and helpers that run user code.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{mem, process, thread};

use once_cell::sync::OnceCell;

use super::TICK;
use super::armed::{Armed, Job, Round};
use crate::sync::StaticU32;

/// The time for which a thread without work waits before it ends.
pub(super) const LINGER: Duration = if cfg!(test) {
    Duration::from_millis(200)
} else {
    Duration::from_secs(5)
};

/// The most threads that run user code at the same time.
pub(super) const MOST_HELPERS: usize = 16;

/// The time to wait after a thread could not be started.
pub(super) const RETRY: Duration = Duration::from_millis(10);

/// The process that has a watch thread, or 0.
pub(super) static WATCHING: StaticU32 = StaticU32::new(0);

/// The watch of one process. A child after `fork` has its own and touches none of its parent's locks, which may be held for
/// ever in the child.
pub(super) struct Process {
    pub(super) id: u32,
    state: Mutex<State>,
    /// The watch thread waits here for tables.
    tables: Condvar,
    /// The helpers wait here for jobs.
    jobs: Condvar,
    child: OnceCell<Box<Process>>,
}

#[derive(Default)]
pub(super) struct State {
    /// Tables that were armed since the last tick.
    pub(super) armed: Vec<Armed>,
    /// Whether there is a watch thread.
    pub(super) watching: bool,
    /// When to try again to start one.
    pub(super) retry: Option<Instant>,
    pub(super) jobs: VecDeque<Job>,
    pub(super) helpers: usize,
    /// The number of helpers that wait for a job.
    pub(super) idle: usize,
}

impl State {
    /// Whether to try to start a thread, now that there is none. If that fails, not again before some time has passed.
    pub(super) fn may_try(&mut self, now: Instant) -> bool {
        let may = self.retry.is_none_or(|retry| now >= retry);
        if may {
            self.retry = Some(now + RETRY);
        }
        may
    }
}

impl Process {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            state: Mutex::default(),
            tables: Condvar::new(),
            jobs: Condvar::new(),
            child: OnceCell::new(),
        }
    }

    /// The last of the chain is that of this process, or of the parent.
    pub(super) fn current() -> &'static Self {
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

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a table to the list, if it is not there, and sees to it that there is a thread.
    pub(super) fn arm(&'static self, new: Option<Armed>) {
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
    pub(super) fn hand(&'static self, jobs: Vec<Job>) {
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

pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> bool {
    let thread = thread::Builder::new().name(name.into());
    thread.spawn(run).is_ok()
}
