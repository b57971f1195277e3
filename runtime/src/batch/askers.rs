//! Tasks that have ended a bulk call and ask, when they are polled next, for another batch.
//!
//! Making a task costs as much as all else about a batch. Under load the callers that have their results come again in the
//! same tick, so a task that has done its work is asked for soon: it asks once, and ends if nobody has given it a batch.
//! Pure: the table's shard has one, under its lock.

use std::collections::VecDeque;

use tokio::runtime;

/// `B`: a batch that needs a task.
#[derive(Debug)]
pub(super) struct Askers<B> {
    /// On which they are. A batch is given to a task of its caller's runtime only: nobody may be driving another.
    runtime: Option<runtime::Id>,
    asking: usize,
    /// At most one for each of them, the longest waiting first.
    given: VecDeque<B>,
}

impl<B> Askers<B> {
    pub(super) const fn new() -> Self {
        Self {
            runtime: None,
            asking: 0,
            given: VecDeque::new(),
        }
    }

    /// A task of this runtime has ended its bulk call. Returns whether it may ask.
    pub(super) fn stays(&mut self, runtime: runtime::Id) -> bool {
        if self.asking == 0 {
            self.runtime = Some(runtime);
        } else if self.runtime != Some(runtime) {
            return false;
        }
        self.asking += 1;
        true
    }

    /// A batch needs a task of this runtime. Returns whether there is one that takes it.
    pub(super) fn give(&mut self, runtime: runtime::Id, batch: impl FnOnce() -> B) -> bool {
        let takes = self.given.len() < self.asking && self.runtime == Some(runtime);
        if takes {
            self.given.push_back(batch());
        }
        takes
    }

    /// A task that stayed asks.
    pub(super) fn ask(&mut self) -> Option<B> {
        self.asking -= 1;
        self.given.pop_front()
    }

    /// A task that stayed is dropped. Returns the batch for which there is no task any more.
    pub(super) fn lost(&mut self) -> Option<B> {
        self.asking -= 1;
        if self.given.len() > self.asking {
            self.given.pop_front()
        } else {
            None
        }
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
    fn a_batch_is_given_to_as_many_as_ask() {
        let [runtime] = runtimes();
        let mut askers = Askers::new();
        assert!(!askers.give(runtime, || 'a'), "nobody asks");
        assert!(askers.stays(runtime));
        assert!(askers.stays(runtime));
        assert!(askers.give(runtime, || 'b'));
        assert!(askers.give(runtime, || 'c'));
        assert!(!askers.give(runtime, || 'd'), "each takes one");
        assert_eq!(askers.ask(), Some('b'), "in their order");
        assert!(!askers.give(runtime, || 'e'));
        assert_eq!(askers.ask(), Some('c'));
        assert!(!askers.give(runtime, || 'f'), "nobody asks any more");
        assert!(askers.stays(runtime));
        assert_eq!(askers.ask(), None);
    }

    #[test]
    fn runtimes_are_kept_apart() {
        let [one, other] = runtimes();
        let mut askers = Askers::new();
        assert!(askers.stays(one));
        assert!(!askers.stays(other), "while one of another asks");
        assert!(!askers.give(other, || 'a'));
        assert!(askers.give(one, || 'b'));
        assert_eq!(askers.ask(), Some('b'));
        assert!(askers.stays(other));
        assert!(!askers.give(one, || 'c'));
        assert!(askers.give(other, || 'd'));
    }

    #[test]
    fn a_batch_whose_task_is_lost_is_told() {
        let [runtime] = runtimes();
        let mut askers = Askers::new();
        assert!(askers.stays(runtime));
        assert!(askers.stays(runtime));
        assert!(askers.give(runtime, || 'a'));
        assert_eq!(askers.lost(), None, "another asks");
        assert_eq!(askers.lost(), Some('a'));
    }
}
