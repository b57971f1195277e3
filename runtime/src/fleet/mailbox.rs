//! Where a call's answers and wake-ups are left, by any thread, until its task takes them.
//!
//! If a call is dropped while it waits for the answer to its JOIN, its [`Machine`] stays here: should the call lead after all,
//! the flight is given up at once.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::engine::Token;
use super::machine::{Action, Event, Machine};
use crate::sync::Mutex;
use crate::wake::{discard, offer, wake_all};

#[derive(Default)]
pub(crate) struct Mailbox(Mutex<News>);

#[derive(Default)]
pub(crate) struct News {
    events: VecDeque<Event>,
    /// Of the last answer: when to look again.
    pub(crate) lease_left: Duration,
    /// How long ago the execution began that the call waits for.
    pub(crate) age: Duration,
    /// The last value that was looked up, and when it was asked for.
    pub(crate) value: Option<(Vec<u8>, Instant)>,
    waker: Option<Waker>,
    /// The call is over.
    left: Option<Left>,
}

/// What is left of a call that is over.
pub(crate) enum Left {
    /// It waits for the answer to its JOIN; and what gives up its flight.
    Abandoned(Machine, Box<dyn FnOnce(Token) + Send>),
    Over,
}

impl Mailbox {
    pub(crate) fn post(&self, event: Event) {
        self.post_with(event, |_| {});
    }

    pub(crate) fn post_with(&self, event: Event, note: impl FnOnce(&mut News)) {
        let mut news = self.0.lock();
        match &mut news.left {
            None => {
                note(&mut news);
                news.events.push_back(event);
                let waker = news.waker.take();
                drop(news);
                wake_all(waker);
            }
            Some(Left::Over) => {}
            Some(Left::Abandoned(machine, _)) => {
                let mut actions = Vec::new();
                machine.on(event, &mut || unreachable!("it asks no more"), &mut actions);
                if !machine.is_over() {
                    return;
                }
                let left = news.left.replace(Left::Over);
                drop(news);
                if let (Some(Left::Abandoned(_, give_up)), Some(Action::Land(token, _))) =
                    (left, actions.pop())
                {
                    give_up(token);
                }
            }
        }
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&mut News) -> R) -> R {
        read(&mut self.0.lock())
    }

    /// The next event. If there is none, the next one wakes `waker`.
    pub(crate) fn next(&self, waker: Option<&Waker>) -> Option<Event> {
        // Before locking: a waker's `Clone` is user code.
        let mut offered = waker.cloned();
        let mut news = self.0.lock();
        let event = news.events.pop_front();
        if let (None, Some(waker)) = (&event, waker) {
            offer(&mut news.waker, |old| old.will_wake(waker), &mut offered);
        }
        drop(news);
        discard(offered);
        event
    }

    /// The next event. If there is none, the call is over, and `left` says what is left of it.
    pub(crate) fn close(&self, left: impl FnOnce() -> Left) -> Option<Event> {
        let mut news = self.0.lock();
        let event = news.events.pop_front();
        if event.is_some() {
            return event;
        }
        // Under the lock: an answer that comes now finds what is left.
        news.left = Some(left());
        let (waker, value) = (news.waker.take(), news.value.take());
        drop(news);
        drop(value);
        discard(waker);
        None
    }
}
