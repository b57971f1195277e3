//! The states of one call in the fleet. Pure: an [`Event`] goes in, [`Action`]s come out. There is no lock, clock or task
//! here; [`call`](super::call) stands around it, and `machine/explore.rs` puts several of these beside a model of the store
//! and visits every state that they can reach together.
//!
//! ```text
//!            granted                    result          somebody waits
//!   Asking ──────────► Leading ─────────────────► Closing ───────────► Landing ──► Over
//!     │ ▲ │               │ lease lost                │ nobody waits               ▲
//!     │ │ │ late          ▼                           └────────────────────────────┤
//!     │ │ └──► Undecided ─► Alone ─────────────────────────────────────────────────┤
//!     │ │ gone                ▲ no value, patience over, store silent              │
//!     ▼ │                     │                                                    │
//!   Following ────────────────┴────► Taking (the other process's value) ───────────┘
//! ```
//!
//! A call that is over while its JOIN is unanswered is `Abandoned`: if it is granted the flight after all, it gives the
//! flight up at once, so that nobody waits for a leader that does not exist.

mod events;
#[cfg(test)]
mod explore;
mod follower;
mod leader;

pub(crate) use self::events::{Action, Event, Granted, Leaves, Look, Timer, Verb, Why};
use self::follower::Follower;
use super::engine::Token;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    New,
    Asking,
    /// The answer is late, and the body runs.
    Undecided,
    Abandoned,
    Leading {
        renewing: bool,
    },
    Closing,
    Landing,
    Following(Follower),
    Taking,
    Alone,
    Over,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    state: State,
    /// Of the last JOIN.
    token: Token,
    /// It has followed before, so its patience is running.
    patient: bool,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            state: State::New,
            token: Token::NONE,
            patient: false,
        }
    }

    /// Whether the body is to be polled.
    pub(crate) fn runs_body(&self) -> bool {
        matches!(
            self.state,
            State::Undecided | State::Leading { .. } | State::Alone
        )
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Nothing can happen to it without an answer from the store.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.state == State::Abandoned
    }

    #[cfg(test)]
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// `fresh` makes tokens. Events that no longer concern the call change nothing.
    pub(crate) fn on(
        &mut self,
        event: Event,
        fresh: &mut dyn FnMut() -> Token,
        out: &mut Vec<Action>,
    ) {
        match self.state {
            State::New => match event {
                Event::Start => self.ask(fresh(), out),
                _ => self.state = State::Over,
            },
            State::Asking => self.asking(event, out),
            State::Undecided => self.undecided(event, out),
            State::Abandoned => match event {
                Event::Joined(token, granted) if token == self.token => {
                    if granted == Granted::Leads {
                        out.push(Action::Land(token, Leaves::Vacancy));
                    }
                    self.state = State::Over;
                }
                Event::Failed(Verb::Join) => self.state = State::Over,
                _ => {}
            },
            State::Leading { renewing } => self.leading(renewing, event, out),
            State::Closing => self.closing(event, out),
            State::Landing => match event {
                Event::Landed | Event::Failed(Verb::Land) | Event::Due(Timer::Slow) => {
                    self.returns(out);
                }
                Event::Dropped => self.state = State::Over,
                _ => {}
            },
            State::Following(_) => self.following(event, fresh, out),
            State::Taking => match event {
                Event::Unreadable => self.alone(Why::NoValue, out),
                Event::Dropped => self.state = State::Over,
                _ => {}
            },
            State::Alone => match event {
                Event::Finished => self.returns(out),
                Event::Panicked | Event::Dropped => self.state = State::Over,
                _ => {}
            },
            State::Over => {}
        }
    }

    fn ask(&mut self, token: Token, out: &mut Vec<Action>) {
        self.token = token;
        self.state = State::Asking;
        out.push(Action::Arm(Timer::Slow));
        out.push(Action::Join(token));
    }

    fn alone(&mut self, why: Why, out: &mut Vec<Action>) {
        self.state = State::Alone;
        for timer in [Timer::Slow, Timer::Look, Timer::Renew, Timer::Patience] {
            out.push(Action::Disarm(timer));
        }
        out.push(Action::Alone(why));
    }

    fn returns(&mut self, out: &mut Vec<Action>) {
        self.state = State::Over;
        out.push(Action::Return);
    }

    fn asking(&mut self, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Joined(token, granted) if token == self.token => match granted {
                Granted::Leads => self.leads(out),
                Granted::Follows(flight) => self.follows(flight, out),
                Granted::Mine => self.alone(Why::Mine, out),
            },
            Event::Failed(Verb::Join) => self.alone(Why::Silent, out),
            Event::Due(Timer::Slow) => {
                self.state = State::Undecided;
                out.push(Action::Disarm(Timer::Patience));
                out.push(Action::Alone(Why::Silent));
            }
            Event::Due(Timer::Patience) => {
                self.state = State::Undecided;
                out.push(Action::Disarm(Timer::Slow));
                out.push(Action::Alone(Why::Patience));
            }
            Event::Dropped => self.state = State::Abandoned,
            _ => {}
        }
    }

    fn undecided(&mut self, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Joined(token, granted) if token == self.token => match granted {
                // Others may be waiting for it by now.
                Granted::Leads => self.leads(out),
                Granted::Follows(_) | Granted::Mine => self.state = State::Alone,
            },
            Event::Failed(Verb::Join) => self.state = State::Alone,
            Event::Finished => {
                self.state = State::Abandoned;
                out.push(Action::Return);
            }
            Event::Panicked | Event::Dropped => self.state = State::Abandoned,
            _ => {}
        }
    }
}
