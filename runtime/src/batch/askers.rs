//! Tasks that have ended a bulk call, and wait for another batch.
//!
//! Making a task costs as much as all else about a batch. Under load the next batch opens soon, so a task that has done its
//! work stays for a while: the call that opens a batch wakes one, which then is scheduled as a new task would be. Those that
//! are not needed end at the second tick of the watch.
//!
//! Pure: the table's shard has one, under its lock.

use std::collections::VecDeque;

use tokio::runtime;

use crate::shards::KEPT;

/// The most tasks that stay: half a megabyte, for a tenth of a second. More are for a burst that is over.
const MOST: usize = 1024;

/// `B`: a batch that needs a task; `W`: a task's waker.
#[derive(Debug)]
pub(super) struct Askers<B, W> {
    /// Where those are that sleep. A batch is given to a task of its caller's runtime only: nobody may be driving another.
    runtime: Option<runtime::Id>,
    /// By their numbers, which rise. The last is woken first: it is the one of which most is still in the caches.
    asleep: Vec<(u64, W)>,
    last: u64,
    /// What `last` was at the last tick.
    marked: u64,
    /// What was given, by the number of the task that was woken for it. Each takes its own: one that took another's would
    /// leave its own to a task that may be behind a worker that is blocked.
    given: VecDeque<(u64, B)>,
}

/// What a task that asks has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked<B> {
    Takes(B),
    /// It was woken by something else.
    SleepsOn,
    Ends,
}

impl<B, W> Askers<B, W> {
    pub(super) const fn new() -> Self {
        Self {
            runtime: None,
            asleep: Vec::new(),
            last: 0,
            marked: 0,
            given: VecDeque::new(),
        }
    }

    /// A task of this runtime has ended its bulk call. Returns its number if it may stay, or else its waker.
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

    /// A batch needs a task of this runtime. Returns whom to wake, if there is one that takes it.
    pub(super) fn give(&mut self, runtime: runtime::Id, batch: impl FnOnce() -> B) -> Option<W> {
        if self.runtime != Some(runtime) {
            return None;
        }
        let (number, waker) = self.asleep.pop()?;
        self.given.push_back((number, batch()));
        Some(waker)
    }

    /// A task that stayed is polled.
    pub(super) fn ask(&mut self, number: u64) -> Asked<B> {
        match self.take(number) {
            Some(batch) => Asked::Takes(batch),
            None if self.find(number).is_some() => Asked::SleepsOn,
            None => Asked::Ends,
        }
    }

    /// A task that stayed is dropped. Returns its waker, to be dropped, or the batch for which there is no task any more.
    pub(super) fn lost(&mut self, number: u64) -> (Option<W>, Option<B>) {
        let waker = self.find(number).map(|at| self.asleep.remove(at).1);
        (waker, self.take(number))
    }

    /// The watch passes by. Adds those to be woken, to end. Returns whether any are left.
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

    /// What was given to this task: the first that is there, most likely.
    fn take(&mut self, number: u64) -> Option<B> {
        let at = self.given.iter().position(|&(to, _)| to == number)?;
        self.given.remove(at).map(|(_, batch)| batch)
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
        let mut askers = Askers::new();
        let nobody = || unreachable!("nobody is there to take it");
        assert_eq!(askers.give(runtime, nobody), None);
        assert_eq!(askers.stay(runtime, "one"), Ok(1));
        assert_eq!(askers.stay(runtime, "two"), Ok(2));
        assert_eq!(askers.give(runtime, || 'a'), Some("two"), "the last");
        assert_eq!(askers.ask(1), Asked::SleepsOn);
        assert_eq!(askers.give(runtime, || 'b'), Some("one"));
        assert_eq!(askers.give(runtime, nobody), None, "each takes one");
        assert_eq!(askers.ask(1), Asked::Takes('b'), "its own");
        assert_eq!(askers.ask(2), Asked::Takes('a'));
        assert_eq!(askers.give(runtime, nobody), None, "nobody stays any more");
        assert_eq!(askers.stay(runtime, "three"), Ok(3));
    }

    #[test]
    fn runtimes_are_kept_apart() {
        let [one, other] = runtimes();
        let mut askers = Askers::new();
        let nobody = || unreachable!("it is another's");
        assert_eq!(askers.stay(one, "one"), Ok(1));
        assert_eq!(askers.stay(other, "other"), Err("other"));
        assert_eq!(askers.give(other, nobody), None);
        assert_eq!(askers.give(one, || 'a'), Some("one"));
        assert_eq!(askers.stay(other, "other"), Ok(2), "nobody else sleeps");
        assert_eq!(askers.give(one, nobody), None);
        assert_eq!(askers.give(other, || 'b'), Some("other"));
        assert_eq!(askers.ask(2), Asked::Takes('b'));
        assert_eq!(askers.ask(1), Asked::Takes('a'));
    }

    #[test]
    fn a_batch_whose_task_is_lost_is_told() {
        let [runtime] = runtimes();
        let mut askers = Askers::new();
        for (number, waker) in [(1, "one"), (2, "two"), (3, "three")] {
            assert_eq!(askers.stay(runtime, waker), Ok(number));
        }
        assert_eq!(askers.lost(1), (Some("one"), None), "it was asleep");
        assert_eq!(askers.give(runtime, || 'a'), Some("three"));
        let mut woken = Vec::new();
        askers.tick(&mut woken);
        assert!(!askers.tick(&mut woken));
        assert_eq!(woken, ["two"]);
        assert_eq!(askers.lost(2), (None, None), "it was to end");
        assert_eq!(askers.lost(3), (None, Some('a')));
        assert_eq!(askers.stay(runtime, "four"), Ok(4));
    }

    #[test]
    fn who_is_not_needed_ends_at_the_second_tick() {
        let [runtime] = runtimes();
        let mut askers = Askers::<char, _>::new();
        let mut woken = Vec::new();
        assert!(!askers.tick(&mut woken));
        assert_eq!(askers.stay(runtime, "one"), Ok(1));
        assert!(askers.tick(&mut woken));
        assert_eq!(askers.stay(runtime, "two"), Ok(2));
        assert!(askers.tick(&mut woken));
        assert_eq!(woken, ["one"]);
        assert_eq!(askers.ask(1), Asked::Ends);
        assert!(!askers.tick(&mut woken));
        assert_eq!(woken, ["one", "two"]);
        assert_eq!(askers.ask(2), Asked::Ends);
    }

    #[test]
    fn there_are_never_too_many_and_their_room_is_given_back() {
        let [runtime] = runtimes();
        let mut askers = Askers::new();
        for number in 1..=MOST as u64 {
            assert_eq!(askers.stay(runtime, ()), Ok(number));
        }
        assert_eq!(askers.stay(runtime, ()), Err(()));
        for _ in 0..MOST {
            assert_eq!(askers.give(runtime, || 'a'), Some(()));
        }
        for number in 1..=MOST as u64 {
            assert_eq!(askers.ask(number), Asked::Takes('a'));
        }
        assert!(!askers.tick(&mut Vec::new()));
        assert!(askers.asleep.capacity() <= KEPT && askers.given.capacity() <= 2 * KEPT);
    }
}
