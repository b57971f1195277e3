//! Which executions are being polled right now, and by which thread.
//!
//! Two questions are answered here. *Am I inside this execution?* (re-entrancy: asked by a thread of itself.) *Is anybody
//! polling it?* (a leader that computes for seconds is not stalled: asked by the watch of all threads.) A poll pushes a
//! frame and pops it, in a few plain stores into the thread's own cache line; only the watch looks at other threads'.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An execution: its table's address and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Execution {
    pub(crate) table: usize,
    pub(crate) id: u64,
}

/// How deep annotated functions may nest on one thread before frames spill into a list of the thread's own.
const SHOWN: usize = 8;

/// A thread's frames, as other threads see them. Lives as long as the process, and serves one thread after another: so a
/// poll finds it in a plain thread-local pointer.
#[derive(Default)]
#[repr(align(128))]
struct Shown {
    /// More than [`SHOWN`]: some can't be seen, and the thread counts as polling everything.
    depth: AtomicUsize,
    frames: [(AtomicUsize, AtomicU64); SHOWN],
}

/// All that were ever made, and those without a thread.
struct Threads {
    all: Vec<&'static Shown>,
    free: Vec<&'static Shown>,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads {
    all: Vec::new(),
    free: Vec::new(),
});

fn threads() -> MutexGuard<'static, Threads> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static MINE: Cell<Option<&'static Shown>> = const { Cell::new(None) };
    static SPILLED: RefCell<Vec<Execution>> = const { RefCell::new(Vec::new()) };
    static RETURN: Return = const { Return };
}

/// Gives the thread's frames back when it ends.
struct Return;

impl Drop for Return {
    fn drop(&mut self) {
        if let Some(shown) = MINE.take() {
            threads().free.push(shown);
        }
    }
}

/// The thread's frames. `None` while the thread is torn down: then it polls without.
#[inline]
fn mine() -> Option<&'static Shown> {
    MINE.get().or_else(take)
}

#[cold]
fn take() -> Option<&'static Shown> {
    RETURN.try_with(|_| ()).ok()?;
    let mut threads = threads();
    let shown = threads.free.pop().unwrap_or_else(|| {
        let shown = Box::leak(Box::default());
        threads.all.push(shown);
        shown
    });
    MINE.set(Some(shown));
    Some(shown)
}

/// Runs one poll of an execution.
#[inline]
pub(crate) fn within<R>(execution: Execution, poll: impl FnOnce() -> R) -> R {
    let _pop = mine().map(|shown| {
        let pop = Pop(shown, shown.depth.load(Relaxed));
        shown.push(execution);
        pop
    });
    poll()
}

/// Runs one poll on behalf of executions that wait for it in other tasks.
#[inline]
pub(crate) fn within_all<R>(executions: &[Execution], poll: impl FnOnce() -> R) -> R {
    let _pop = if executions.is_empty() {
        None
    } else {
        enter_all(executions)
    };
    poll()
}

#[cold]
fn enter_all(executions: &[Execution]) -> Option<Pop> {
    let shown = mine()?;
    let pop = Pop(shown, shown.depth.load(Relaxed));
    executions.iter().for_each(|&each| shown.push(each));
    Some(pop)
}

/// Takes the depth back to what it was, on unwinding, too.
struct Pop(&'static Shown, usize);

impl Drop for Pop {
    #[inline]
    fn drop(&mut self) {
        if self.0.depth.load(Relaxed) > SHOWN {
            SPILLED.with_borrow_mut(|spilled| spilled.truncate(self.1.saturating_sub(SHOWN)));
        }
        self.0.depth.store(self.1, Relaxed);
    }
}

/// Whether this thread is inside a poll of `execution`.
#[inline]
pub(crate) fn inside(execution: Execution) -> bool {
    MINE.get().is_some_and(|shown| {
        let depth = shown.depth.load(Relaxed);
        shown.holds(execution, depth)
            || depth > SHOWN && SPILLED.with_borrow(|spilled| spilled.contains(&execution))
    })
}

/// Whether this thread is inside a poll of any.
#[inline]
pub(crate) fn inside_any() -> bool {
    MINE.get()
        .is_some_and(|shown| shown.depth.load(Relaxed) > 0)
}

/// All that this thread is inside of.
pub(crate) fn around() -> Vec<Execution> {
    let Some(shown) = MINE.get() else {
        return Vec::new();
    };
    let depth = shown.depth.load(Relaxed).min(SHOWN);
    let mut around: Vec<_> = shown.frames[..depth]
        .iter()
        .map(|(table, id)| Execution {
            table: table.load(Relaxed),
            id: id.load(Relaxed),
        })
        .collect();
    if depth == SHOWN {
        SPILLED.with_borrow(|spilled| around.extend(spilled));
    }
    around
}

/// Whether any thread is inside a poll of `execution`.
pub(crate) fn polled_anywhere(execution: Execution) -> bool {
    threads().all.iter().any(|thread| {
        let depth = thread.depth.load(Relaxed);
        depth > SHOWN || thread.holds(execution, depth)
    })
}

impl Shown {
    /// The thread begins to poll an execution.
    #[inline]
    fn push(&self, execution: Execution) {
        let depth = self.depth.load(Relaxed);
        match self.frames.get(depth) {
            Some((table, id)) => {
                table.store(execution.table, Relaxed);
                id.store(execution.id, Relaxed);
            }
            None => SPILLED.with_borrow_mut(|spilled| spilled.push(execution)),
        }
        self.depth.store(depth + 1, Relaxed);
    }

    fn holds(&self, execution: Execution, depth: usize) -> bool {
        self.frames[..depth.min(SHOWN)].iter().any(|(table, id)| {
            table.load(Relaxed) == execution.table && id.load(Relaxed) == execution.id
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that is too deep to see counts as polling everything, also for the test beside this one.
    static DEEP: Mutex<()> = Mutex::new(());

    fn alone() -> MutexGuard<'static, ()> {
        DEEP.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nest(depth: u64, innermost: &mut dyn FnMut()) {
        match depth {
            0 => innermost(),
            _ => within(
                Execution {
                    table: 1,
                    id: depth,
                },
                || nest(depth - 1, innermost),
            ),
        }
    }

    #[test]
    fn frames_are_found_however_deep_and_gone_afterwards() {
        let _alone = alone();
        assert!(!inside_any());
        for depth in [1, 30, 8, 9] {
            nest(depth, &mut || {
                for id in 1..=depth {
                    assert!(inside(Execution { table: 1, id }), "{id} of {depth}");
                }
                assert!(inside_any());
                assert_eq!(around().len() as u64, depth);
                assert!(around().iter().all(|it| it.table == 1 && it.id <= depth));
                assert!(!inside(Execution { table: 2, id: 1 }));
                assert!(!inside(Execution {
                    table: 1,
                    id: depth + 1
                }));
            });
            assert!(!inside(Execution { table: 1, id: 1 }));
            assert!(!inside_any());
        }
    }

    #[test]
    fn one_that_has_ended_is_gone_while_others_go_on() {
        let _alone = alone();
        let ended = [7, 8].map(|id| Execution { table: 7, id });
        for depth in [1, SHOWN as u64 - 1, SHOWN as u64, 20] {
            nest(depth, &mut || {
                within(ended[0], || assert!(inside(ended[0])));
                within_all(&ended, || assert!(ended.iter().all(|&it| inside(it))));
                within_all(&[], || assert_eq!(around().len() as u64, depth));
                // Not seen by whom comes to lie where they were, either.
                within(Execution { table: 7, id: 9 }, || {
                    assert!(!ended.iter().any(|&it| inside(it)));
                    assert_eq!(around().len() as u64, depth + 1);
                });
            });
        }
    }

    #[test]
    fn a_panic_pops_its_frame() {
        let execution = Execution { table: 3, id: 1 };
        std::panic::catch_unwind(|| within(execution, || panic!("on purpose"))).unwrap_err();
        assert!(!inside(execution));
    }

    #[test]
    fn another_thread_sees_the_poll() {
        let _alone = alone();
        let execution = Execution { table: 4, id: 1 };
        let seen = within(execution, || {
            std::thread::spawn(move || (inside(execution), polled_anywhere(execution))).join()
        });
        assert_eq!(seen.unwrap(), (false, true));
        assert!(!polled_anywhere(execution));
    }

    #[test]
    fn a_thread_that_is_too_deep_to_see_counts_as_polling_everything() {
        let _alone = alone();
        let (innermost, other) = (Execution { table: 1, id: 1 }, Execution { table: 5, id: 1 });
        for (depth, all) in [(SHOWN, false), (SHOWN + 1, true)] {
            nest(depth as u64, &mut || {
                assert!(polled_anywhere(innermost));
                assert_eq!(polled_anywhere(other), all, "{depth}");
            });
        }
        assert!(!polled_anywhere(innermost));
    }

    #[test]
    fn frames_serve_one_thread_after_another() {
        const THREADS: usize = 500;
        let made = || threads().all.len();
        let before = made();
        for id in 0..THREADS as u64 {
            std::thread::spawn(move || within(Execution { table: 6, id }, || ()))
                .join()
                .unwrap();
        }
        // The tests beside this one have threads, too, but not so many at a time.
        assert!(made() - before < THREADS / 2);
    }
}
