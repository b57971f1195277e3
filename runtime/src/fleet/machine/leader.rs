//! A call that leads, until the store knows its result.

use super::events::{Action, Event, Leaves, Timer, Verb, Why};
use super::{Machine, State};
use crate::fleet::engine::{Closed, Renewed};

impl Machine {
    pub(super) fn leads(&mut self, out: &mut Vec<Action>) {
        self.state = State::Leading { renewing: false };
        out.push(Action::Disarm(Timer::Slow));
        out.push(Action::Disarm(Timer::Patience));
        out.push(Action::Arm(Timer::Renew));
        out.push(Action::Leads);
    }

    pub(super) fn leading(&mut self, renewing: bool, event: Event, out: &mut Vec<Action>) {
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

    pub(super) fn closing(&mut self, event: Event, out: &mut Vec<Action>) {
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
}
