//! Tasks that have ended a bulk call, and wait for another batch.
//!
//! Spawning a task costs as much as the rest of a batch. Under load the next batch opens soon, so a task that has ended its
//! bulk call stays for a while. A call that opens a batch wakes an idle task, which the runtime then schedules as it would
//! schedule a new one. A task that is not needed ends at the second tick of the watch.
//!
//! Pure: each shard of a table has one of these under its lock.

use std::collections::VecDeque;

use tokio::runtime;

use crate::shards::KEPT;

/// The most idle tasks: half a megabyte for a tenth of a second. More would only be left from a burst that is over.
const MOST: usize = 1024;

/// `B`: a batch that needs a task; `W`: a task's waker.
#[derive(Debug)]
pub(super) struct IdleTasks<B, W> {
    /// The runtime of all idle tasks. A batch is given to a task of its caller's runtime only, since another runtime may not be
    /// driven.
    runtime: Option<runtime::Id>,
    /// In the order of their numbers. The last is woken first, since most of it is still in the caches.
    asleep: Vec<(u64, W)>,
    last: u64,
    /// What `last` was at the last tick.
    marked: u64,
    /// Batches by the number of the task that was woken for them. Each task takes its own batch. If a task took another's batch,
    /// it would leave its own to a task that may be queued behind a blocked worker.
    given: VecDeque<(u64, B)>,
}

/// What an idle task that is polled has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked<B> {
    Takes(B),
    /// It was woken for another reason.
    SleepsOn,
    Ends,
}

impl<B, W> IdleTasks<B, W> {
    pub(super) const fn new() -> Self {
        Self {
            runtime: None,
            asleep: Vec::new(),
            last: 0,
            marked: 0,
            given: VecDeque::new(),
        }
    }

    /// Adds a task of this runtime that has ended its bulk call. Returns its number if it may stay, and its waker otherwise.
    pub(super) fn stay(&mut self, runtime: runtime::Id, waker: W) -> Result<u64, W> {
        if self.asleep.is_empty() {
            self.runtime = Some(runtime);
        } else if self.runtime != Some(runtime) || self.asleep.len() >= MOST {
            return Err(waker);
        }
        self.last += 1;
        self.asleep.push((self.last, waker));
        Ok(self.last)
    }

    /// Gives a batch to an idle task of this runtime, if there is one. Returns the waker of that task.
    pub(super) fn give(&mut self, runtime: runtime::Id, batch: impl FnOnce() -> B) -> Option<W> {
        if self.runtime != Some(runtime) {
            return None;
        }
        let (number, waker) = self.asleep.pop()?;
        self.given.push_back((number, batch()));
        Some(waker)
    }

    /// An idle task is polled.
    pub(super) fn ask(&mut self, number: u64) -> Asked<B> {
        match self.take(number) {
            Some(batch) => Asked::Takes(batch),
            None if self.find(number).is_some() => Asked::SleepsOn,
            None => Asked::Ends,
        }
    }

    /// An idle task is dropped. Returns its waker, to be dropped, or the batch that has lost its task.
    pub(super) fn lost(&mut self, number: u64) -> (Option<W>, Option<B>) {
        let waker = self.find(number).map(|at| self.asleep.remove(at).1);
        (waker, self.take(number))
    }

    /// The watch ticks. Adds the wakers of tasks that have to end. Returns whether any tasks are left.
    pub(super) fn tick(&mut self, wake: &mut Vec<W>) -> bool {
        let old = self
            .asleep
            .partition_point(|&(number, _)| number <= self.marked);
        wake.extend(self.asleep.drain(..old).map(|(_, waker)| waker));
        self.marked = self.last;
        self.asleep.shrink_to(KEPT);
        self.given.shrink_to(KEPT);
        !self.asleep.is_empty()
    }

    /// Whether none is asleep.
    pub(super) fn is_empty(&self) -> bool {
        self.asleep.is_empty()
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.asleep
            .binary_search_by_key(&number, |&(number, _)| number)
            .ok()
    }

    /// Takes the batch that was given to this task, which is most likely the first.
    fn take(&mut self, number: u64) -> Option<B> {
        let at = self.given.iter().position(|&(to, _)| to == number)?;
        // The order of the others does not matter.
        self.given.swap_remove_front(at).map(|(_, batch)| batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtimes<const N: usize>() -> [runtime::Id; N] {
        std::array::from_fn(|_| {
            let runtime = runtime::Builder::new_current_thread().build();
            runtime.unwrap().handle().id()
        })
    }

    #[test]
    fn a_batch_is_given_to_as_many_as_stay() {
        let [runtime] = runtimes();
        let mut idle = IdleTasks::new();
        let nobody = || unreachable!("nobody is there to take it");
        assert_eq!(idle.give(runtime, nobody), None);
        assert!(idle.is_empty());
        assert_eq!(idle.stay(runtime, "one"), Ok(1));
        assert!(!idle.is_empty(), "so the watch ticks on");
        assert_eq!(idle.stay(runtime, "two"), Ok(2));
        assert_eq!(idle.give(runtime, || 'a'), Some("two"), "the last");
        assert_eq!(idle.ask(1), Asked::SleepsOn);
        assert_eq!(idle.give(runtime, || 'b'), Some("one"));
        assert_eq!(idle.give(runtime, nobody), None, "each takes one");
        assert_eq!(idle.ask(1), Asked::Takes('b'), "its own");
        assert_eq!(idle.ask(2), Asked::Takes('a'));
        assert_eq!(idle.give(runtime, nobody), None, "nobody stays any more");
        assert_eq!(idle.stay(runtime, "three"), Ok(3));
    }

    #[test]
    fn runtimes_are_kept_apart() {
        let [one, other] = runtimes();
        let mut idle = IdleTasks::new();
        let nobody = || unreachable!("it is another's");
        assert_eq!(idle.stay(one, "one"), Ok(1));
        assert_eq!(idle.stay(other, "other"), Err("other"));
        assert_eq!(idle.give(other, nobody), None);
        assert_eq!(idle.give(one, || 'a'), Some("one"));
        assert_eq!(idle.stay(other, "other"), Ok(2), "nobody else sleeps");
        assert_eq!(idle.give(one, nobody), None);
        assert_eq!(idle.give(other, || 'b'), Some("other"));
        assert_eq!(idle.ask(2), Asked::Takes('b'));
        assert_eq!(idle.ask(1), Asked::Takes('a'));
    }

    #[test]
    fn a_batch_whose_task_is_lost_is_told() {
        let [runtime] = runtimes();
        let mut idle = IdleTasks::new();
        for (number, waker) in [(1, "one"), (2, "two"), (3, "three")] {
            assert_eq!(idle.stay(runtime, waker), Ok(number));
        }
        assert_eq!(idle.lost(1), (Some("one"), None), "it was asleep");
        assert_eq!(idle.give(runtime, || 'a'), Some("three"));
        let mut woken = Vec::new();
        idle.tick(&mut woken);
        assert!(!idle.tick(&mut woken));
        assert_eq!(woken, ["two"]);
        assert_eq!(idle.lost(2), (None, None), "it was to end");
        assert_eq!(idle.lost(3), (None, Some('a')));
        assert_eq!(idle.stay(runtime, "four"), Ok(4));
    }

    #[test]
    fn who_is_not_needed_ends_at_the_second_tick() {
        let [runtime] = runtimes();
        let mut idle = IdleTasks::<char, _>::new();
        let mut woken = Vec::new();
        assert!(!idle.tick(&mut woken));
        assert_eq!(idle.stay(runtime, "one"), Ok(1));
        assert!(idle.tick(&mut woken));
        assert_eq!(idle.stay(runtime, "two"), Ok(2));
        assert!(idle.tick(&mut woken));
        assert_eq!(woken, ["one"]);
        assert_eq!(idle.ask(1), Asked::Ends);
        assert!(!idle.tick(&mut woken));
        assert_eq!(woken, ["one", "two"]);
        assert_eq!(idle.ask(2), Asked::Ends);
    }

    #[test]
    fn there_are_never_too_many_and_their_room_is_given_back() {
        let [runtime] = runtimes();
        let mut idle = IdleTasks::new();
        for number in 1..=MOST as u64 {
            assert_eq!(idle.stay(runtime, ()), Ok(number));
        }
        assert_eq!(idle.stay(runtime, ()), Err(()));
        for _ in 0..MOST {
            assert_eq!(idle.give(runtime, || 'a'), Some(()));
        }
        for number in 1..=MOST as u64 {
            assert_eq!(idle.ask(number), Asked::Takes('a'));
        }
        assert!(!idle.tick(&mut Vec::new()));
        assert!(idle.asleep.capacity() <= KEPT && idle.given.capacity() <= 2 * KEPT);
    }
}
