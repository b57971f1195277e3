//! The state of one flight: which call leads, and which calls wait. It is pure: each method takes an event and returns what to
//! wake and drop, and its caller does that after unlocking. `W` is a waker, and opaque here.
//!
//! ```text
//!            leader gone or stalled            result
//!   led(term) ───────────────────► vacant   led(term) ──► landed: the state goes
//!       ▲                             │
//!       └───── a follower is polled ──┘
//!              term + 1
//! ```
//!
//! A leader is identified by its *term*. A leader that was deposed finds another term, or no flight, and finishes for
//! itself. If no follower has taken over yet, it was only late, and leads again.
//!
//! A vacant flight wakes every follower, the newest first since it has the most time left, and belongs to the first one with
//! a body that is polled: leadership is claimed, never assigned to a follower that may be asleep. A flight never lands
//! without a leader and never has two.

use super::places::{Places, Slot};

/// The leader's term: how often leadership has been claimed.
pub(crate) type Term = u32;

/// Ticks of the watch without a sign of life from the leader, after which it is prodded.
const PROD_AFTER: u8 = 2;
/// The same, after which it is deposed.
const DEPOSE_AFTER: u8 = 4;
/// Ticks with followers after which that is worth a warning, once: ten seconds.
const LONG: u16 = 200;

#[derive(Debug)]
pub(crate) struct State<W> {
    /// It has a leader. If not, it is vacant.
    led: bool,
    /// The current or the last leader's.
    term: Term,
    /// The leader's waker. `None` while it is being polled for the first time or after it was prodded.
    leader: Option<W>,
    /// Ticks since the leader's last sign of life.
    idle: u8,
    /// Ticks with followers, up to one more than [`LONG`].
    followed_for: u16,
    places: Places<W>,
    /// The leader is a task: all callers wait for it, and without them it is to end.
    spawned: bool,
    /// The last leader is gone for good, not only stalled.
    lost: bool,
    /// The number of callers that came to wait.
    joined: u32,
    /// The number of callers that no longer wait: they left, or took over.
    gone: u32,
    /// The number of waiting callers that have given their body to a task. They wait for their own execution.
    given: u32,
}

/// The ways in which a waiting caller can serve a vacant flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Run the body, and lead.
    Mine,
    /// Give the body to a task that leads, and go on waiting.
    ForTask,
    /// Nothing: it has given the body away.
    Given,
}

/// The result of polling a follower.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Followed<W> {
    /// It waits, in this place. The second is a waker that was replaced, to be dropped after unlocking.
    Waits(Slot, Option<W>),
    /// It leads from now on, or the task that it starts.
    Leads(Term),
    /// No waiting caller can take over: the last task is gone, and with it the body.
    Lost,
    /// There is a result.
    Landed,
}

/// The result of a look by the watch.
#[derive(Debug)]
pub(crate) enum Tick<W> {
    Nothing,
    /// Wake the leader, to see whether it is there.
    Prod(W),
    /// Followers have waited for ten seconds. The body may be slow, or part of a circle of waits that can't be detected.
    Long,
    /// The leader is stalled: the flight is vacant. Wake the followers; drop the leader's waker.
    Deposed {
        followers: Places<W>,
        leader: Option<W>,
    },
}

/// The term that was asked about is not the current leader's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Deposed;

/// The result of a leader's poll that is pending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rest<W> {
    /// Nothing, but to drop a waker that was replaced, after unlocking.
    Done(Option<W>),
    /// Come again with a waker.
    NeedsWaker,
}

/// The wakers of a flight: the leader's to be dropped, the followers' to be woken.
#[derive(Debug)]
pub(crate) struct Wakers<W> {
    pub(crate) leader: Option<W>,
    pub(crate) followers: Places<W>,
}

impl<W> State<W> {
    /// A flight that is led, by its first leader.
    pub(crate) fn led(leader: Option<W>) -> Self {
        Self {
            led: true,
            term: 0,
            leader,
            idle: 0,
            followed_for: 0,
            places: Places::new(),
            spawned: false,
            lost: false,
            joined: 0,
            gone: 0,
            given: 0,
        }
    }

    /// The number of callers that wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.joined - self.gone
    }

    /// The number of callers that wait for another call's execution.
    pub(crate) fn followers(&self) -> u32 {
        self.waiting() - self.given
    }

    /// A follower joins. It has a place as soon as it is polled.
    pub(crate) fn join(&mut self) {
        self.joined += 1;
    }

    /// The leader gives its body to a task, which leads in its place, and waits.
    pub(crate) fn give_to_task(&mut self) {
        self.spawned = true;
        self.given += 1;
        self.join();
    }

    /// A follower is polled for the first time: where there is a leader, it waits. If not, [`follow`](Self::follow) knows.
    #[inline]
    pub(crate) fn wait(&mut self, waker: W) -> Result<Slot, W> {
        if self.led {
            Ok(self.places.take(waker))
        } else {
            Err(waker)
        }
    }

    /// A follower is polled. Returns `None` if the stored waker does not wake the same task (`same`) and `waker` is empty:
    /// then the caller must call again with a waker.
    pub(crate) fn follow(
        &mut self,
        slot: Option<Slot>,
        body: Body,
        same: impl FnOnce(&W) -> bool,
        waker: &mut Option<W>,
    ) -> Option<Followed<W>> {
        if !self.led {
            if let Some(term) = self.claim(body) {
                return Some(Followed::Leads(term));
            }
            if !self.led && self.followers() == 0 {
                return Some(Followed::Lost);
            }
        }
        if let Some(slot) = slot {
            if let Some(place) = self.places.at(slot) {
                return match place {
                    Some(old) if same(old) => Some(Followed::Waits(slot, None)),
                    _ => Some(Followed::Waits(slot, place.replace(waker.take()?))),
                };
            }
        }
        Some(Followed::Waits(self.places.take(waker.take()?), None))
    }

    /// A follower finds the flight vacant.
    fn claim(&mut self, body: Body) -> Option<Term> {
        match body {
            Body::Mine => self.gone += 1,
            Body::ForTask => {
                self.spawned = true;
                self.given += 1;
            }
            Body::Given => {
                if self.followers() > 0 {
                    // The vacancy is for those that have a body, who were woken.
                    return None;
                }
                // It can only hope for the stalled task, whose term it still is, to go on.
                self.led = !self.lost;
                self.idle = 0;
                return None;
            }
        }
        self.led = true;
        self.idle = 0;
        self.term += 1;
        Some(self.term)
    }

    /// A follower goes. `given` says that it has given its body to a task. Returns its waker.
    pub(crate) fn leave(&mut self, slot: Option<Slot>, given: bool) -> Option<W> {
        self.gone += 1;
        self.given -= u32::from(given);
        self.places.leave(slot?)
    }

    /// Whether no waiting caller can take over: see [`Followed::Lost`].
    pub(crate) fn is_lost(&self) -> bool {
        !self.led && self.lost && self.followers() == 0
    }

    /// The callers that must be woken to find that out.
    #[cold]
    pub(crate) fn all_lost(&mut self) -> Places<W> {
        self.places.empty()
    }

    /// Whether no caller needs this flight any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.waiting() == 0 && (self.spawned || !self.led)
    }

    /// Whether this is the leader. A leader that was deposed, and that no follower has replaced, was only late, and leads again:
    /// if a whole runtime is late, so are the followers on it, and the leader is polled before them.
    pub(crate) fn leads(&mut self, term: Term) -> bool {
        if !self.led && self.term == term && !self.lost {
            self.led = true;
            self.idle = 0;
        }
        self.led && self.term == term
    }

    /// The leader was polled and goes on waiting. `waker` as in [`follow`](Self::follow).
    pub(crate) fn rest(
        &mut self,
        term: Term,
        same: impl FnOnce(&W) -> bool,
        waker: &mut Option<W>,
    ) -> Result<Rest<W>, Deposed> {
        if !self.leads(term) {
            return Err(Deposed);
        }
        self.idle = 0;
        match &self.leader {
            Some(old) if same(old) => Ok(Rest::Done(None)),
            _ => match waker.take() {
                Some(waker) => Ok(Rest::Done(self.leader.replace(waker))),
                None => Ok(Rest::NeedsWaker),
            },
        }
    }

    /// The leader goes without a result.
    pub(crate) fn vacate(&mut self, term: Term) -> Result<Wakers<W>, Deposed> {
        if !self.leads(term) {
            return Err(Deposed);
        }
        self.led = false;
        self.lost = true;
        Ok(Wakers {
            leader: self.leader.take(),
            followers: self.places.empty(),
        })
    }

    /// It has landed, or was abandoned.
    pub(crate) fn into_wakers(self) -> Wakers<W> {
        Wakers {
            leader: self.leader,
            followers: self.places,
        }
    }

    /// The watch passes by. `polled` says that the leader is being polled at this moment.
    pub(crate) fn tick(&mut self, polled: impl FnOnce() -> bool) -> Tick<W> {
        if !self.led {
            return Tick::Nothing;
        }
        if self.waiting() == 0 {
            self.idle = 0;
            return Tick::Nothing;
        }
        self.idle = self.idle.saturating_add(1);
        if self.idle == PROD_AFTER {
            if let Some(leader) = self.leader.take() {
                return Tick::Prod(leader);
            }
        }
        let stalled = self.idle >= DEPOSE_AFTER && !polled();
        if !stalled {
            if self.idle >= DEPOSE_AFTER {
                self.idle = 0;
            }
            self.followed_for = (self.followed_for + 1).min(LONG + 1);
            return match self.followed_for {
                LONG => Tick::Long,
                _ => Tick::Nothing,
            };
        }
        self.led = false;
        self.lost = false;
        Tick::Deposed {
            followers: self.places.empty(),
            leader: self.leader.take(),
        }
    }
}

#[cfg(test)]
mod tests;
