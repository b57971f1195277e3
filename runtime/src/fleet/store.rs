//! The six verbs as a pure machine: what a store has to do, without its clock. The in-memory engine is this behind a lock; the
//! states of a call are explored beside it; and the scripts of `piggyback-redis` are compared with it on a real server.

use std::collections::BTreeMap;

use super::engine::{Closed, Renewed, Token};

/// A process, as the store knows it.
pub(crate) type Inbox = u32;

/// One flight. Times are in milliseconds of the store's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    current: Option<Token>,
    up: BTreeMap<Token, Up>,
    results: BTreeMap<Token, Kept>,
    /// When all but the results goes: a lease after the last that was granted.
    until: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Up {
    began: u64,
    ends: u64,
    owner: Inbox,
    waiting: Vec<Inbox>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kept {
    bytes: Vec<u8>,
    until: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Grant {
    pub(crate) token: Token,
    pub(crate) lease_left: u64,
    pub(crate) owner: Inbox,
    pub(crate) age: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Seen {
    Landed(Vec<u8>),
    Large,
    Up { lease_left: u64, current: bool },
    Gone,
}

impl Store {
    /// Whatever time has taken goes, before each verb.
    fn at(&mut self, now: u64) {
        if now >= self.until {
            self.current = None;
            self.up.clear();
        }
        self.results.retain(|_, kept| now < kept.until);
    }

    fn vacate(&mut self, token: Token) {
        self.up.remove(&token);
        if self.current == Some(token) {
            self.current = None;
        }
    }

    pub(crate) fn join(
        &mut self,
        now: u64,
        token: Token,
        inbox: Inbox,
        lease: u64,
        max_age: u64,
        alive: impl Fn(Inbox) -> bool,
    ) -> Grant {
        self.at(now);
        if let Some(current) = self.current {
            let up = self.up.get_mut(&current);
            let is_up = up.filter(|up| up.ends > now && alive(up.owner));
            match is_up {
                Some(up) if now - up.began <= max_age => {
                    if up.owner != inbox && !up.waiting.contains(&inbox) {
                        up.waiting.push(inbox);
                    }
                    return Grant {
                        token: current,
                        lease_left: up.ends - now,
                        owner: up.owner,
                        age: now - up.began,
                    };
                }
                Some(_) => {}
                None => self.vacate(current),
            }
        }
        self.current = Some(token);
        let up = Up {
            began: now,
            ends: now + lease,
            owner: inbox,
            waiting: Vec::new(),
        };
        self.up.insert(token, up);
        self.until = self.until.max(now + lease);
        Grant {
            token,
            lease_left: lease,
            owner: inbox,
            age: 0,
        }
    }

    pub(crate) fn look(
        &mut self,
        now: u64,
        token: Token,
        max_bytes: usize,
        alive: impl Fn(Inbox) -> bool,
    ) -> Seen {
        self.at(now);
        if let Some(kept) = self.results.get(&token) {
            return if kept.bytes.len() > max_bytes {
                Seen::Large
            } else {
                Seen::Landed(kept.bytes.clone())
            };
        }
        match self.up.get(&token) {
            Some(up) if up.ends > now && alive(up.owner) => Seen::Up {
                lease_left: up.ends - now,
                current: self.current == Some(token),
            },
            Some(_) => {
                self.vacate(token);
                Seen::Gone
            }
            None => Seen::Gone,
        }
    }

    pub(crate) fn renew(&mut self, now: u64, token: Token, lease: u64) -> Renewed {
        self.at(now);
        let Some(up) = self.up.get_mut(&token) else {
            return Renewed::Lost;
        };
        up.ends = now + lease;
        self.until = self.until.max(now + lease);
        if self.current == Some(token) {
            Renewed::Current
        } else {
            Renewed::Superseded
        }
    }

    pub(crate) fn close(&mut self, now: u64, token: Token) -> Closed {
        self.at(now);
        match self.up.get(&token) {
            None => Closed::Lost,
            Some(up) if !up.waiting.is_empty() => Closed::Waiting,
            Some(_) => {
                self.vacate(token);
                Closed::Alone
            }
        }
    }

    /// Returns who is to be told, or `None` if it is not up.
    pub(crate) fn land(
        &mut self,
        now: u64,
        token: Token,
        bytes: &[u8],
        keep: u64,
    ) -> Option<Vec<Inbox>> {
        self.at(now);
        let up = self.up.get(&token)?;
        let waiting = up.waiting.clone();
        self.vacate(token);
        if !bytes.is_empty() {
            let kept = Kept {
                bytes: bytes.to_vec(),
                until: now + keep,
            };
            self.results.insert(token, kept);
        }
        Some(waiting)
    }

    /// Returns which execution was forgotten, and who is to be told.
    pub(crate) fn forget(&mut self, now: u64) -> Option<(Token, Vec<Inbox>)> {
        self.at(now);
        let token = self.current.take()?;
        let up = self.up.get(&token)?;
        let mut told = vec![up.owner];
        told.extend(&up.waiting);
        Some((token, told))
    }

    /// Nothing is left but what time takes.
    pub(crate) fn is_empty(&mut self, now: u64) -> bool {
        self.at(now);
        self.up.is_empty() && self.results.is_empty()
    }
}

/// What only a test does to a store.
#[cfg(test)]
impl Store {
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.up.keys().copied()
    }

    /// A lease is over.
    pub(crate) fn expire(&mut self, token: Token) {
        if let Some(up) = self.up.get_mut(&token) {
            up.ends = 0;
        }
    }

    pub(crate) fn is_expired(&self, token: Token) -> bool {
        self.up.get(&token).is_some_and(|up| up.ends == 0)
    }

    /// Writes all that the behaviour of a store depends on when no time passes, with other names for tokens and inboxes.
    pub(crate) fn describe(
        &self,
        name: &mut dyn FnMut(Token) -> u8,
        inbox: &dyn Fn(Inbox) -> u8,
        out: &mut Vec<u8>,
    ) {
        out.push(self.current.map_or(0, &mut *name));
        let mut up: Vec<_> = self.up.iter().map(|(&of, up)| (name(of), up)).collect();
        up.sort_by_key(|(name, _)| *name);
        for (of, up) in up {
            let waiting = up.waiting.iter().map(|&it| 1 << inbox(it)).sum();
            out.extend([of, inbox(up.owner), waiting, u8::from(up.ends == 0)]);
        }
        out.push(0);
        // Which bytes a result has follows from its token, but for the first one.
        let kept = self.results.iter();
        let mut kept: Vec<_> = kept.map(|(&of, it)| [name(of), it.bytes[0]]).collect();
        kept.sort_unstable();
        out.extend(kept.into_iter().flatten());
        out.push(0);
    }

    pub(crate) fn results(&self) -> impl Iterator<Item = Token> + '_ {
        self.results.keys().copied()
    }

    pub(crate) fn drop_result(&mut self, token: Token) {
        self.results.remove(&token);
    }
}
