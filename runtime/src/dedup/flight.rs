//! One flight that has, or had, followers: its states behind a lock, and its result.
//!
//! A lone leader has none of this, it is an entry in the map. The first follower makes the flight, in one allocation, and
//! moves the leader's waker in. What the lock protects is in [`state`](super::state); it is held for a few instructions,
//! and wakers are cloned, woken and dropped outside of it. The result is written once, while the lock is held, and is
//! then read and cloned without one.

use std::sync::OnceLock;
use std::task::{Context, Waker};

use super::state::{Deposed, Followed, Relaunch, Rest, Slot, State, Turn};
use crate::observe::Callers;
use crate::sync::Mutex;
use crate::wake::discard;

#[derive(Debug)]
pub(crate) struct Flight<V> {
    pub(super) hash: u64,
    pub(super) id: u64,
    pub(super) state: Mutex<State<Waker>>,
    outcome: OnceLock<Outcome<V>>,
    pub(super) callers: Callers,
}

/// How an execution ended.
#[derive(Debug)]
pub(crate) enum Outcome<V> {
    Value(V),
    /// For a single caller, which takes it.
    Sole(Mutex<Option<V>>),
    /// The body panicked, and said this.
    Panic(Box<str>),
}

impl<V> Flight<V> {
    /// The flight of an entry that gets its first follower.
    pub(super) fn of(hash: u64, id: u64, leader: Option<Waker>) -> Self {
        Self {
            hash,
            id,
            state: Mutex::new(State::led(leader)),
            outcome: OnceLock::new(),
            callers: Callers::default(),
        }
    }

    /// The result, if there is one.
    pub(crate) fn outcome(&self) -> Option<&Outcome<V>> {
        self.outcome.get()
    }

    /// Writes the result, under the state's lock. The key has left the map: nobody joins any more.
    pub(super) fn publish(&self, outcome: Outcome<V>) {
        let first = self.outcome.set(outcome).is_ok();
        debug_assert!(first, "a flight lands once");
    }

    /// A follower is polled.
    pub(super) fn follow(&self, slot: Option<Slot>, cx: &mut Context<'_>) -> Followed<Waker> {
        // The first time a waker is needed for sure; later, seldom.
        let mut waker = slot.is_none().then(|| cx.waker().clone());
        loop {
            let followed =
                self.state
                    .lock()
                    .follow(slot, |old| old.will_wake(cx.waker()), &mut waker);
            match followed {
                Some(followed) => {
                    discard(waker);
                    return followed;
                }
                None => waker = Some(cx.waker().clone()),
            }
        }
    }

    /// How many of `joined` callers wait for another's execution.
    pub(super) fn followers(&self, joined: u32) -> u32 {
        let state = self.state.lock();
        // None at all while the last caller of a spawned one is on its way out.
        let callers = state.waiting(joined);
        callers.saturating_sub(u32::from(state.opener))
    }

    /// A task is the leader from now on.
    pub(super) fn give_to_task(&self) {
        let mut state = self.state.lock();
        state.spawned = true;
        state.opener = true;
    }

    /// The caller that gave it to a task goes.
    pub(super) fn opener_leaves(&self) {
        self.state.lock().opener = false;
    }

    /// A caller of a spawned flight is polled.
    pub(super) fn relaunch(&self, can_start: bool) -> Relaunch {
        self.state.lock().relaunch(can_start)
    }

    /// A task is polled: whether it has to end.
    pub(super) fn retires(&self, turn: Turn) -> bool {
        self.state.lock().retires(turn)
    }

    /// A follower goes. Returns whether the flight is abandoned, perhaps.
    pub(super) fn leave(&self, slot: Option<Slot>) -> bool {
        let mut state = self.state.lock();
        let waker = state.leave(slot);
        let abandoned = state.may_be_abandoned();
        drop(state);
        discard(waker);
        abandoned
    }

    /// The leader goes on waiting.
    pub(super) fn rest(&self, turn: Turn, cx: &mut Context<'_>) -> Result<(), Deposed> {
        let mut waker = None;
        loop {
            let rest = self
                .state
                .lock()
                .rest(turn, |old| old.will_wake(cx.waker()), &mut waker)?;
            match rest {
                Rest::Done(old) => {
                    discard(old);
                    return Ok(());
                }
                Rest::NeedsWaker => waker = Some(cx.waker().clone()),
            }
        }
    }
}
