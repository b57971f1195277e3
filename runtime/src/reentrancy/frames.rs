//! Which executions are being polled right now, and by which thread.
//!
//! Two questions are answered here. *Am I inside this execution?* A thread asks that of itself when a call would wait.
//! *Is any thread polling it?* The watch asks that about all threads, since a leader that computes for seconds is not
//! stalled. A poll pushes a frame and pops it with a few plain stores into its thread's own cache line; only the watch looks
//! at the frames of other threads.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::execution::{Execution, Frame};

/// The depth of nesting on one thread beyond which frames go into a list behind a lock.
const SHOWN: usize = 8;

/// The list's room that a thread keeps after it was that deep.
const KEPT: usize = 64;

/// A thread's frames, as other threads see them. They live as long as the process and serve one thread after another, so
/// that a poll finds them through a plain thread-local pointer.
#[derive(Default)]
#[repr(align(128))]
struct Shown {
    depth: AtomicUsize,
    frames: [(AtomicUsize, AtomicU64); SHOWN],
    /// The frames beyond the first [`SHOWN`].
    deeper: Mutex<Vec<Execution>>,
    /// The limiters that bulk calls hold, each with the depth of its frame: see [`within_bulk`].
    held: Mutex<Vec<(usize, Execution)>>,
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn threads() -> MutexGuard<'static, Threads> {
    lock(&THREADS)
}

thread_local! {
    static MINE: Cell<Option<&'static Shown>> = const { Cell::new(None) };
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

/// Runs one poll of a bulk call that holds some limiters, such as a place among those that `concurrency` allows.
#[inline]
pub(crate) fn within_bulk<R>(
    execution: Execution,
    held: &[Execution],
    poll: impl FnOnce() -> R,
) -> R {
    if held.is_empty() {
        return within(execution, poll);
    }
    within(execution, || {
        let _release = MINE.get().map(|shown| Release::hold(shown, held));
        poll()
    })
}

/// Takes the depth back to what it was, also when the poll panics.
struct Pop(&'static Shown, usize);

impl Drop for Pop {
    #[inline]
    fn drop(&mut self) {
        if self.0.depth.load(Relaxed) > SHOWN {
            self.0.truncate(self.1);
        }
        self.0.depth.store(self.1, Relaxed);
    }
}

/// Takes what a bulk call holds off its thread's list.
struct Release(&'static Shown, usize);

impl Release {
    #[cold]
    fn hold(shown: &'static Shown, limiters: &[Execution]) -> Self {
        let depth = shown.depth.load(Relaxed);
        let mut held = lock(&shown.held);
        let release = Self(shown, held.len());
        held.extend(limiters.iter().map(|&limiter| (depth, limiter)));
        release
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let mut held = lock(&self.0.held);
        held.truncate(self.1);
        if held.is_empty() {
            held.shrink_to(KEPT);
        }
    }
}

/// Whether this thread is inside a poll of `execution`.
#[inline]
pub(crate) fn inside(execution: Execution) -> bool {
    MINE.get().is_some_and(|shown| shown.polls(execution))
}

/// Whether this thread is inside a poll of any execution.
#[inline]
pub(crate) fn inside_any() -> bool {
    MINE.get()
        .is_some_and(|shown| shown.depth.load(Relaxed) > 0)
}

/// The execution that this thread polls inside of all others that it polls.
pub(crate) fn innermost() -> Option<Execution> {
    let shown = MINE.get()?;
    shown.at(shown.depth.load(Relaxed).checked_sub(1)?)
}

/// All frames of this thread, from the outermost.
pub(crate) fn around() -> Vec<Frame> {
    let Some(shown) = MINE.get() else {
        return Vec::new();
    };
    let mut around: Vec<_> = (0..shown.depth.load(Relaxed))
        .filter_map(|depth| shown.at(depth))
        .map(|execution| Frame {
            execution,
            held: Vec::new(),
        })
        .collect();
    for &(depth, limiter) in &*lock(&shown.held) {
        around[depth - 1].held.push(limiter);
    }
    around
}

/// Whether any thread is inside a poll of `execution`.
pub(crate) fn polled_anywhere(execution: Execution) -> bool {
    threads().all.iter().any(|thread| thread.polls(execution))
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
            None => lock(&self.deeper).push(execution),
        }
        self.depth.store(depth + 1, Relaxed);
    }

    #[cold]
    fn truncate(&self, depth: usize) {
        let mut deeper = lock(&self.deeper);
        deeper.truncate(depth.saturating_sub(SHOWN));
        if deeper.is_empty() {
            deeper.shrink_to(KEPT);
        }
    }

    fn at(&self, depth: usize) -> Option<Execution> {
        match self.frames.get(depth) {
            Some((table, id)) => Some(Execution {
                table: table.load(Relaxed),
                id: id.load(Relaxed),
            }),
            None => lock(&self.deeper).get(depth - SHOWN).copied(),
        }
    }

    #[inline]
    fn polls(&self, execution: Execution) -> bool {
        let depth = self.depth.load(Relaxed);
        let shown = self.frames[..depth.min(SHOWN)].iter();
        shown.into_iter().any(|(table, id)| {
            table.load(Relaxed) == execution.table && id.load(Relaxed) == execution.id
        }) || depth > SHOWN && lock(&self.deeper).contains(&execution)
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
    fn frames_are_found_at_any_depth_and_are_gone_afterwards() {
        assert!(!inside_any());
        for depth in [1, 30, 8, 9] {
            nest(depth, &mut || {
                for id in 1..=depth {
                    assert!(inside(Execution { table: 1, id }), "{id} of {depth}");
                }
                assert!(inside_any());
                assert_eq!(innermost(), Some(Execution { table: 1, id: 1 }));
                let ids: Vec<_> = around().iter().map(|frame| frame.execution.id).collect();
                assert!(ids.iter().copied().eq((1..=depth).rev()), "{ids:?}");
                assert!(!inside(Execution { table: 2, id: 1 }));
                assert!(!inside(Execution {
                    table: 1,
                    id: depth + 1
                }));
            });
            assert!(!inside(Execution { table: 1, id: 1 }));
            assert_eq!(innermost(), None);
        }
    }

    #[test]
    fn a_frame_that_was_popped_is_not_seen_in_its_place() {
        let ended = Execution { table: 7, id: 7 };
        for depth in [1, SHOWN as u64 - 1, SHOWN as u64, 20] {
            nest(depth, &mut || {
                within(ended, || assert!(inside(ended)));
                within(Execution { table: 7, id: 9 }, || {
                    assert!(!inside(ended));
                    assert_eq!(around().len() as u64, depth + 1);
                });
            });
        }
    }

    #[test]
    fn a_bulk_call_is_seen_with_what_it_holds_at_any_depth() {
        let limiters = [1, 2].map(|id| Execution { table: 9, id });
        for depth in [0, 3, SHOWN as u64, 20] {
            nest(depth, &mut || {
                let bulk = Execution {
                    table: 8,
                    id: depth,
                };
                let held = || around().last().unwrap().held.clone();
                within_bulk(bulk, &limiters, || {
                    assert_eq!(held(), limiters);
                    let inner = Execution { table: 8, id: 1000 };
                    within_bulk(inner, &limiters[..1], || {
                        assert_eq!(held(), limiters[..1]);
                        within_bulk(ended(), &[], || assert_eq!(held(), []));
                    });
                    assert_eq!(held(), limiters);
                    within(inner, || {
                        let around = around();
                        assert_eq!(around[depth as usize].held, limiters);
                        assert_eq!(around[depth as usize + 1].held, []);
                    });
                });
                assert!(around().iter().all(|frame| frame.held.is_empty()));
            });
        }
        fn ended() -> Execution {
            Execution { table: 8, id: 2000 }
        }
    }

    #[test]
    fn a_panic_pops_its_frame_and_what_it_holds() {
        let execution = Execution { table: 3, id: 1 };
        let poll = || within_bulk(execution, &[execution], || panic!("on purpose"));
        std::panic::catch_unwind(poll).unwrap_err();
        assert!(!inside(execution));
        within(execution, || assert_eq!(around()[0].held, []));
    }

    #[test]
    fn another_thread_sees_the_poll_at_any_depth() {
        let (ours, others) = (Execution { table: 1, id: 1 }, Execution { table: 5, id: 1 });
        for depth in [1, SHOWN, SHOWN + 1, 30] {
            nest(depth as u64, &mut || {
                let look = move || [inside(ours), polled_anywhere(ours), polled_anywhere(others)];
                let seen = std::thread::spawn(look).join().unwrap();
                assert_eq!(seen, [false, true, false], "{depth}");
            });
        }
    }

    #[test]
    fn a_thread_that_was_deep_keeps_little() {
        nest(2_000, &mut || ());
        let room = MINE.get().map(|shown| lock(&shown.deeper).capacity());
        assert!(room.unwrap() <= KEPT);
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
        // The tests beside this one have threads, too, but not as many at a time.
        assert!(made() - before < THREADS / 2);
    }

    #[test]
    fn a_destructor_of_a_thread_local_may_nest_deeply() {
        struct Nests;
        impl Drop for Nests {
            fn drop(&mut self) {
                nest(20, &mut || ());
            }
        }
        thread_local!(static NESTS: Nests = const { Nests });
        std::thread::spawn(|| NESTS.with(|_| within(Execution { table: 1, id: 1 }, || ())))
            .join()
            .unwrap();
    }
}
