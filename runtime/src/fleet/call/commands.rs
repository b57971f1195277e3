//! What a call sends to the store, and what becomes of the answers.

use std::time::Instant;

use super::ride::Ride;
use crate::fleet::engine::{Joined, Looked, Reply, Terms, Token};
use crate::fleet::machine::{Event, Granted, Look, Verb};
use crate::fleet::seen::Command;

impl Ride {
    pub(super) fn join(&self, token: Token) {
        let (mailbox, hub, flight) = (self.mailbox.clone(), self.hub.clone(), self.flight.clone());
        let reply = self.hub.reply(Command::Join, move |answer| {
            let granted = match answer {
                Ok(Joined::Leads) => Granted::Leads,
                Ok(Joined::Follows {
                    token: flight,
                    lease_left,
                    age,
                }) => {
                    hub.in_time();
                    let event = Event::Joined(token, Granted::Follows(flight));
                    mailbox.post_with(event, |news| {
                        news.lease_left = lease_left;
                        news.age = age;
                    });
                    return;
                }
                Ok(Joined::Mine) => Granted::Mine,
                Err(_) => {
                    hub.unsure(&flight, token);
                    mailbox.post(Event::Failed(Verb::Join));
                    return;
                }
            };
            hub.in_time();
            mailbox.post(Event::Joined(token, granted));
        });
        let terms = Terms {
            lease: self.settings.lease,
            max_age: self.settings.max_age.min(self.settings.patience),
        };
        self.hub.engine().join(&self.flight, token, terms, reply);
    }

    pub(super) fn look(&self, token: Token) {
        let (mailbox, hub) = (self.mailbox.clone(), self.hub.clone());
        let asked = Instant::now();
        let reply = self
            .hub
            .reply(Command::Look, move |answer: Result<Looked, _>| {
                let Ok(looked) = answer else {
                    mailbox.post(Event::Failed(Verb::Look));
                    return;
                };
                hub.in_time();
                let event = Event::Looked(token, Look::of(&looked));
                mailbox.post_with(event, |news| match looked {
                    Looked::Landed(bytes) => news.value = Some((bytes, asked)),
                    Looked::Up { lease_left, .. } => news.lease_left = lease_left,
                    Looked::Large | Looked::Gone => {}
                });
            });
        let max = self.settings.max_value;
        self.hub.engine().look(&self.flight, token, max, reply);
    }

    pub(super) fn renew(&self, token: Token) {
        let mailbox = self.mailbox.clone();
        let reply = self.hub.reply(Command::Renew, move |answer| {
            mailbox.post(match answer {
                Ok(renewed) => Event::Renewed(renewed),
                Err(_) => Event::Failed(Verb::Renew),
            });
        });
        let engine = self.hub.engine();
        engine.renew(&self.flight, token, self.settings.lease, reply);
    }

    pub(super) fn close(&self, token: Token) {
        let reply = self.ending(token, Verb::Close, Event::Closed);
        self.hub.engine().close(&self.flight, token, reply);
    }

    pub(super) fn land(&self, token: Token, bytes: Vec<u8>) {
        let reply = self.ending(token, Verb::Land, |()| Event::Landed);
        let (engine, keep) = (self.hub.engine(), self.settings.keep);
        engine.land(&self.flight, token, bytes, keep, reply);
    }

    /// The reply to what ends an execution. Without an answer, the execution may still be up.
    fn ending<T: 'static>(
        &self,
        token: Token,
        verb: Verb,
        event: impl FnOnce(T) -> Event + Send + 'static,
    ) -> Reply<T> {
        let command = match verb {
            Verb::Close => Command::Close,
            _ => Command::Land,
        };
        let (mailbox, hub, flight) = (self.mailbox.clone(), self.hub.clone(), self.flight.clone());
        self.hub.reply(command, move |answer| match answer {
            Ok(answer) => {
                hub.in_time();
                mailbox.post(event(answer));
            }
            Err(_) => {
                hub.unsure(&flight, token);
                mailbox.post(Event::Failed(verb));
            }
        })
    }
}
