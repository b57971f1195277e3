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

use super::engine::{Closed, Looked, Renewed, Token};

/// Looks in a row without an answer, after which a follower runs the body itself.
const SILENT_AFTER: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Verb {
    Join,
    Look,
    Renew,
    Close,
    Land,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The answer that the call waits for is late.
    Slow,
    /// Time to look whether the flight is still up, in case its wake-up was lost.
    Look,
    /// Time to renew the lease.
    Renew,
    /// The call has waited for others as long as it may.
    Patience,
}

/// A JOIN's answer, without its durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Granted {
    Leads,
    Follows(Token),
    /// Another call of this process leads.
    Mine,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// The call begins.
    Start,
    Joined(Token, Granted),
    /// A landed flight's bytes stay with the driver, as only it can read them.
    Looked(Token, Look),
    Renewed(Renewed),
    Closed(Closed),
    Landed,
    /// There will be no answer, and whether the command was executed is unknown.
    Failed(Verb),
    Due(Timer),
    /// Another process says that this flight has landed.
    Told(Token),
    /// Somebody says that new calls don't join this flight.
    Forgotten(Token),
    /// The store can be reached again.
    Up,
    /// The body has a result.
    Finished,
    /// The body panicked.
    Panicked,
    /// The value that was taken can't be used.
    Unreadable,
    /// The process gives up what it leads, and no longer takes part.
    Closing,
    /// The caller is gone.
    Dropped,
}

/// A LOOK's answer, without its bytes and durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Look {
    /// There is a value.
    Landed,
    /// There is a result, but none to share.
    Nothing,
    Up {
        current: bool,
    },
    Gone,
}

impl Look {
    pub(crate) fn of(looked: &Looked) -> Self {
        match looked {
            Looked::Landed(bytes) if bytes.first() == Some(&super::codec::VALUE) => Self::Landed,
            Looked::Landed(_) | Looked::Large => Self::Nothing,
            Looked::Up { current, .. } => Self::Up { current: *current },
            Looked::Gone => Self::Gone,
        }
    }
}

/// What is left in place of a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Leaves {
    /// The result of the body, if it can be shared. Otherwise the same as `Nothing`.
    Result,
    /// There is none to share: all who wait run the body at once.
    Nothing,
    /// The leader is gone: one of those who wait takes over.
    Vacancy,
}

/// Why a call runs the body for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Why {
    /// The store did not answer, or not in time.
    Silent,
    /// Another call of this process leads.
    Mine,
    /// There was no result to share, or it could not be read.
    NoValue,
    /// It has waited long enough.
    Patience,
    /// The lease was lost.
    Lost,
    /// The process no longer takes part.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Send a JOIN with this token.
    Join(Token),
    Look(Token),
    Renew(Token),
    Close(Token),
    Land(Token, Leaves),
    Arm(Timer),
    Disarm(Timer),
    /// Listen for this flight.
    Listen(Token),
    /// New calls of this process must not join this one.
    Supersede,
    /// Return the value that was looked up.
    Take,
    /// Return the result of the body.
    Return,
    /// The call leads; counted.
    Leads,
    /// The call runs the body for itself; counted.
    Alone(Why),
}

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
    Following {
        flight: Token,
        /// A look is under way.
        looking: bool,
        /// Look once more when it is answered.
        again: bool,
        /// Looks in a row without an answer.
        silent: u8,
    },
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
            State::Following { flight, .. } => self.following(flight, event, fresh, out),
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

    fn leads(&mut self, out: &mut Vec<Action>) {
        self.state = State::Leading { renewing: false };
        out.push(Action::Disarm(Timer::Slow));
        out.push(Action::Disarm(Timer::Patience));
        out.push(Action::Arm(Timer::Renew));
        out.push(Action::Leads);
    }

    fn asking(&mut self, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Joined(token, granted) if token == self.token => match granted {
                Granted::Leads => self.leads(out),
                Granted::Follows(flight) => {
                    self.state = State::Following {
                        flight,
                        looking: false,
                        again: false,
                        silent: 0,
                    };
                    out.push(Action::Disarm(Timer::Slow));
                    if !self.patient {
                        self.patient = true;
                        out.push(Action::Arm(Timer::Patience));
                    }
                    out.push(Action::Arm(Timer::Look));
                    // Last: it may have landed already, and be told at once.
                    out.push(Action::Listen(flight));
                }
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

    fn leading(&mut self, renewing: bool, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Due(Timer::Renew) => {
                out.push(Action::Arm(Timer::Renew));
                if !renewing {
                    self.state = State::Leading { renewing: true };
                    out.push(Action::Renew(self.token));
                }
            }
            Event::Renewed(renewed) => {
                self.state = State::Leading { renewing: false };
                match renewed {
                    Renewed::Current => {}
                    Renewed::Superseded => out.push(Action::Supersede),
                    Renewed::Lost => self.alone(Why::Lost, out),
                }
            }
            Event::Failed(Verb::Renew) => self.state = State::Leading { renewing: false },
            Event::Forgotten(token) if token == self.token => out.push(Action::Supersede),
            Event::Finished => {
                self.state = State::Closing;
                out.push(Action::Disarm(Timer::Renew));
                out.push(Action::Arm(Timer::Slow));
                out.push(Action::Close(self.token));
            }
            Event::Panicked => {
                self.state = State::Over;
                out.push(Action::Land(self.token, Leaves::Nothing));
            }
            Event::Closing => {
                out.push(Action::Land(self.token, Leaves::Vacancy));
                self.alone(Why::Closed, out);
            }
            Event::Dropped => {
                self.state = State::Over;
                out.push(Action::Land(self.token, Leaves::Vacancy));
            }
            _ => {}
        }
    }

    fn closing(&mut self, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Closed(Closed::Waiting) => {
                self.state = State::Landing;
                out.push(Action::Land(self.token, Leaves::Result));
            }
            Event::Closed(Closed::Alone | Closed::Lost) | Event::Failed(Verb::Close) => {
                self.returns(out);
            }
            Event::Due(Timer::Slow) => {
                // Whoever waits gets the result as soon as the store comes round to it.
                out.push(Action::Land(self.token, Leaves::Result));
                self.returns(out);
            }
            Event::Dropped => {
                self.state = State::Over;
                out.push(Action::Land(self.token, Leaves::Vacancy));
            }
            _ => {}
        }
    }

    fn following(
        &mut self,
        flight: Token,
        event: Event,
        fresh: &mut dyn FnMut() -> Token,
        out: &mut Vec<Action>,
    ) {
        let State::Following {
            looking,
            again,
            silent,
            ..
        } = &mut self.state
        else {
            unreachable!("asked by a follower");
        };
        let look = |looking: &mut bool, out: &mut Vec<Action>| {
            *looking = true;
            out.push(Action::Disarm(Timer::Look));
            out.push(Action::Arm(Timer::Slow));
            out.push(Action::Look(flight));
        };
        match event {
            Event::Told(token) if token == flight => {
                if *looking {
                    *again = true;
                } else {
                    look(looking, out);
                }
            }
            // Whatever was under way is lost.
            Event::Up => look(looking, out),
            Event::Due(Timer::Look) if !*looking => look(looking, out),
            Event::Looked(token, looked) if token == flight => match looked {
                Look::Landed => {
                    self.state = State::Taking;
                    out.push(Action::Disarm(Timer::Slow));
                    out.push(Action::Take);
                }
                Look::Nothing => self.alone(Why::NoValue, out),
                Look::Up { current } => {
                    *silent = 0;
                    if !current {
                        out.push(Action::Supersede);
                    }
                    if std::mem::take(again) {
                        look(looking, out);
                    } else {
                        *looking = false;
                        out.push(Action::Disarm(Timer::Slow));
                        out.push(Action::Arm(Timer::Look));
                    }
                }
                Look::Gone => {
                    out.push(Action::Disarm(Timer::Look));
                    self.ask(fresh(), out);
                }
            },
            Event::Failed(Verb::Look) | Event::Due(Timer::Slow) if *looking => {
                *looking = false;
                *again = false;
                *silent += 1;
                out.push(Action::Disarm(Timer::Slow));
                if *silent >= SILENT_AFTER {
                    self.alone(Why::Silent, out);
                } else {
                    out.push(Action::Arm(Timer::Look));
                }
            }
            Event::Forgotten(token) if token == flight => out.push(Action::Supersede),
            Event::Due(Timer::Patience) => self.alone(Why::Patience, out),
            Event::Closing => self.alone(Why::Closed, out),
            Event::Dropped => self.state = State::Over,
            _ => {}
        }
    }
}

#[cfg(test)]
mod explore;
