//! A call that waits for another process's result.

use super::events::{Action, Event, Look, Timer, Verb, Why};
use super::{Machine, State};
use crate::fleet::engine::Token;

/// Looks in a row without an answer, after which a follower runs the body itself.
const SILENT_AFTER: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Follower {
    flight: Token,
    /// A look is under way.
    looking: bool,
    /// Look once more when it is answered.
    again: bool,
    /// Looks in a row without an answer.
    silent: u8,
}

impl Machine {
    pub(super) fn follows(&mut self, flight: Token, out: &mut Vec<Action>) {
        self.state = State::Following(Follower {
            flight,
            looking: false,
            again: false,
            silent: 0,
        });
        out.push(Action::Disarm(Timer::Slow));
        if !self.patient {
            self.patient = true;
            out.push(Action::Arm(Timer::Patience));
        }
        out.push(Action::Arm(Timer::Look));
        // Last: it may have landed already, and be told at once.
        out.push(Action::Listen(flight));
    }

    pub(super) fn following(
        &mut self,
        event: Event,
        fresh: &mut dyn FnMut() -> Token,
        out: &mut Vec<Action>,
    ) {
        let State::Following(follower) = &mut self.state else {
            unreachable!("asked by a follower");
        };
        let flight = follower.flight;
        match event {
            Event::Told(token) if token == flight => {
                if follower.looking {
                    follower.again = true;
                } else {
                    follower.look(out);
                }
            }
            // Whatever was under way is lost.
            Event::Up => follower.look(out),
            Event::Due(Timer::Look) if !follower.looking => follower.look(out),
            Event::Looked(token, look) if token == flight => match look {
                Look::Landed => {
                    self.state = State::Taking;
                    out.push(Action::Disarm(Timer::Slow));
                    out.push(Action::Take);
                }
                Look::Nothing => self.alone(Why::NoValue, out),
                Look::Up { current } => follower.still_up(current, out),
                Look::Gone => {
                    out.push(Action::Disarm(Timer::Look));
                    self.ask(fresh(), out);
                }
            },
            Event::Failed(Verb::Look) | Event::Due(Timer::Slow) if follower.looking => {
                follower.unanswered(out);
                if follower.silent >= SILENT_AFTER {
                    self.alone(Why::Silent, out);
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

impl Follower {
    fn look(&mut self, out: &mut Vec<Action>) {
        self.looking = true;
        out.push(Action::Disarm(Timer::Look));
        out.push(Action::Arm(Timer::Slow));
        out.push(Action::Look(self.flight));
    }

    /// The flight that it waits for has not landed.
    fn still_up(&mut self, current: bool, out: &mut Vec<Action>) {
        self.silent = 0;
        if !current {
            out.push(Action::Supersede);
        }
        if std::mem::take(&mut self.again) {
            self.look(out);
        } else {
            self.rest(out);
        }
    }

    fn unanswered(&mut self, out: &mut Vec<Action>) {
        self.again = false;
        self.silent += 1;
        self.rest(out);
    }

    /// Looks again later.
    fn rest(&mut self, out: &mut Vec<Action>) {
        self.looking = false;
        out.push(Action::Disarm(Timer::Slow));
        out.push(Action::Arm(Timer::Look));
    }
}
