//! Which executions are being polled right now, and by which thread.
//!
//! Two questions are answered here. *Am I inside this execution?* (re-entrancy: asked by a thread of itself.) *Is anybody
//! polling it?* (a leader that computes for seconds is not stalled: asked by the watch of all threads.) A poll pushes a
//! frame and pops it, in a few plain stores into the thread's own cache line; only the watch looks at other threads'.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// An execution: its table's address and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Execution {
    pub(crate) table: usize,
    pub(crate) id: u64,
}

/// How deep annotated functions may nest on one thread before frames spill into a list of the thread's own.
const SHOWN: usize = 8;

/// The frames that other threads can see.
#[derive(Default)]
struct Shown {
    /// More than [`SHOWN`]: some can't be seen, and the thread counts as polling everything.
    depth: AtomicUsize,
    frames: [(AtomicUsize, AtomicU64); SHOWN],
}

struct Local {
    shown: Arc<Shown>,
    depth: Cell<usize>,
    spilled: RefCell<Vec<Execution>>,
}

static THREADS: Mutex<Vec<Weak<Shown>>> = Mutex::new(Vec::new());

thread_local! {
    static LOCAL: Local = {
        let shown = Arc::new(Shown::default());
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| thread.strong_count() > 0);
        threads.push(Arc::downgrade(&shown));
        Local { shown, depth: Cell::new(0), spilled: RefCell::default() }
    };
}

/// Runs one poll of an execution.
pub(crate) fn within<R>(execution: Execution, poll: impl FnOnce() -> R) -> R {
    /// Pops on unwinding, too.
    struct Pop;
    impl Drop for Pop {
        fn drop(&mut self) {
            let _ = LOCAL.try_with(|local| {
                let depth = local.depth.get() - 1;
                local.depth.set(depth);
                local.shown.depth.store(depth, Relaxed);
                if depth >= SHOWN {
                    local.spilled.borrow_mut().pop();
                }
            });
        }
    }
    let pushed = LOCAL.try_with(|local| {
        let depth = local.depth.get();
        match local.shown.frames.get(depth) {
            Some((table, id)) => {
                table.store(execution.table, Relaxed);
                id.store(execution.id, Relaxed);
            }
            None => local.spilled.borrow_mut().push(execution),
        }
        local.depth.set(depth + 1);
        local.shown.depth.store(depth + 1, Relaxed);
    });
    // A thread that is being torn down has no frames: it polls without.
    let _pop = pushed.is_ok().then_some(Pop);
    poll()
}

/// Whether this thread is inside a poll of `execution`.
pub(crate) fn inside(execution: Execution) -> bool {
    LOCAL
        .try_with(|local| {
            let depth = local.depth.get();
            depth > 0
                && (local.shown.holds(execution, depth)
                    || depth > SHOWN && local.spilled.borrow().contains(&execution))
        })
        .unwrap_or(false)
}

/// Whether any thread is inside a poll of `execution`.
pub(crate) fn polled_anywhere(execution: Execution) -> bool {
    let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    threads.iter().filter_map(Weak::upgrade).any(|thread| {
        let depth = thread.depth.load(Relaxed);
        depth > SHOWN || thread.holds(execution, depth)
    })
}

impl Shown {
    fn holds(&self, execution: Execution, depth: usize) -> bool {
        self.frames[..depth.min(SHOWN)].iter().any(|(table, id)| {
            table.load(Relaxed) == execution.table && id.load(Relaxed) == execution.id
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for depth in [1, 8, 9, 30] {
            nest(depth, &mut || {
                for id in 1..=depth {
                    assert!(inside(Execution { table: 1, id }), "{id} of {depth}");
                }
                assert!(!inside(Execution { table: 2, id: 1 }));
                assert!(!inside(Execution {
                    table: 1,
                    id: depth + 1
                }));
            });
            assert!(!inside(Execution { table: 1, id: 1 }));
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
        let execution = Execution { table: 4, id: 1 };
        let seen = within(execution, || {
            std::thread::spawn(move || (inside(execution), polled_anywhere(execution))).join()
        });
        assert_eq!(seen.unwrap(), (false, true));
        assert!(!polled_anywhere(execution));
    }
}
