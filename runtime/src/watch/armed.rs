//! The list of armed tables, and the visits that the watch pays them.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Weak};

use super::{Actions, Budget, Pass, Watched};
use crate::fixed::{Fixed, InScope};
use crate::wake::drop_guarded;

/// The watch's handle of a table. It must not keep the table alive: dropping a scope drops its tables, armed or not.
#[derive(Clone)]
pub(super) enum Held {
    Fixed(&'static dyn Watched),
    Scoped(Weak<dyn Watched>),
}

impl Held {
    /// All handles of tables are one of these three types. Asking at run time spares a bound on everything that is generic
    /// over them.
    fn of<H: Deref<Target: Watched + Sized> + 'static>(table: &H) -> Self {
        let any: &dyn Any = table;
        match any.downcast_ref::<InScope<H::Target>>() {
            Some(InScope::Fixed(table)) => return Self::of(table),
            Some(InScope::Scoped(table)) => return Self::of(table),
            None => {}
        }
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

    pub(super) fn is_alive(&self) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Scoped(table) => table.strong_count() > 0,
        }
    }
}

pub(super) enum Strong {
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
pub(super) struct Armed {
    pub(super) table: Held,
    pub(super) pass: Pass,
}

/// The result of a visit to a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// The budget is spent: it goes on from here.
    Unfinished,
    /// It stays in the list.
    Stays,
    /// It leaves the list.
    Leaves,
}

impl Armed {
    /// The entry for the list of this process, or `None` if the table is already there.
    pub(super) fn new<H>(table: &H, process: u32) -> Option<Self>
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
    pub(super) fn visit(
        &mut self,
        process: u32,
        budget: &mut Budget,
        jobs: &mut Vec<Job>,
    ) -> Visit {
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
            drop_guarded(table);
        } else {
            watch.acting.store(true, SeqCst);
            jobs.push(Job { table, actions });
        }
        visit
    }
}

/// Foreign code to be run for one table.
pub(super) struct Job {
    pub(super) table: Strong,
    pub(super) actions: Actions,
}

impl Job {
    pub(super) fn run(self) {
        let Self { table, actions } = self;
        actions.act(table.function());
        table.watch().acting.store(false, SeqCst);
        drop_guarded(table);
    }
}

/// The list of armed tables. Each pass visits all of them once, in as many ticks as the budget asks for.
#[derive(Default)]
pub(super) struct Round {
    pub(super) list: VecDeque<Armed>,
    /// The number of tables that are still to be visited in this pass.
    pub(super) left: usize,
}

impl Round {
    pub(super) fn tick(&mut self, process: u32) -> Vec<Job> {
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
