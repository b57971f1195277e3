//! One flight's states: who leads, who waits. Pure: an event goes in, what to wake comes out, and the caller wakes after
//! unlocking. `W` is a waker, and opaque here.
//!
//! ```text
//!            leader gone or stalled            result
//!   Led(turn) ───────────────────► Vacant   Led(turn) ──► Landed
//!       ▲                             │
//!       └───── a follower is polled ──┘
//!              turn + 1
//! ```
//!
//! A leader is known by its *turn*. One that was deposed finds another turn, or none, and finishes for itself.
//! A vacant flight wakes every follower and belongs to the first that is polled: leadership is claimed, never assigned to
//! one that may be asleep. A flight never lands without a leader and never has two.

use std::mem;

/// The leader's number: how often leadership has been claimed.
pub(crate) type Turn = u32;

/// A follower's place in the flight.
pub(crate) type Slot = u32;

/// Ticks of the watch without a sign of life from the leader, after which it is prodded.
const PROD_AFTER: u8 = 2;
/// The same, after which it is deposed.
const DEPOSE_AFTER: u8 = 4;

#[derive(Debug)]
pub(crate) struct State<W> {
    phase: Phase,
    /// The current or the last leader's.
    turn: Turn,
    /// How to reach the leader. `None` while it is being polled for the first time or after it was prodded.
    leader: Option<W>,
    /// Ticks since the leader's last sign of life.
    idle: u8,
    followers: Vec<Place<W>>,
    /// The first free place.
    free: Option<Slot>,
    /// How many places are taken.
    seated: u32,
    /// The leader is a task: all callers follow, and without them it is to end.
    pub(super) spawned: bool,
    /// One of the followers is the caller that gave it to the task: it waits for nobody else's execution.
    pub(super) opener: bool,
    /// The last leader is gone for good, not only stalled.
    lost: bool,
    /// How many followers went: by leaving or by claiming. Joined (which the map counts) minus gone is who still waits.
    gone: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Led,
    Vacant,
    Landed,
}

#[derive(Debug)]
pub(crate) enum Place<W> {
    Waiting(W),
    /// Woken, and not polled since.
    Woken,
    Free(Option<Slot>),
}

/// What a polled follower finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Followed<W> {
    /// It waits, in this place. The second is a waker that was replaced, to be dropped after unlocking.
    Waits(Slot, Option<W>),
    /// It leads from now on.
    Leads(Turn),
    /// A spawned flight lost its task, after the follower looked for that: it has to look again.
    Vacant,
    /// There is a result.
    Landed,
}

/// What a caller of a spawned flight has to do first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Relaunch {
    No,
    /// Start the next task, with this turn.
    Start(Turn),
    /// Nothing can be done: the task is gone, and with it the body.
    Lost,
}

/// What the watch has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tick<W> {
    Nothing,
    /// Wake the leader, to see whether it is there.
    Prod(W),
    /// The leader is stalled: the flight is vacant. Wake the followers; drop the leader's waker.
    Deposed {
        followers: Vec<W>,
        leader: Option<W>,
    },
}

/// The turn that was asked about is not the current leader's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Deposed;

impl<W> State<W> {
    /// A flight that is led, by its first leader.
    pub(crate) fn led(leader: Option<W>) -> Self {
        Self {
            phase: Phase::Led,
            turn: 0,
            leader,
            idle: 0,
            followers: Vec::new(),
            free: None,
            seated: 0,
            spawned: false,
            opener: false,
            lost: false,
            gone: 0,
        }
    }

    pub(crate) fn is_led_by(&self, turn: Turn) -> bool {
        self.phase == Phase::Led && self.turn == turn
    }

    /// How many of `joined` followers still wait.
    pub(crate) fn waiting(&self, joined: u32) -> u32 {
        joined - self.gone
    }

    /// A follower is polled. `waker` is asked for only if the one that is stored does not do (`same`).
    pub(crate) fn follow(
        &mut self,
        slot: Option<Slot>,
        same: impl FnOnce(&W) -> bool,
        waker: &mut Option<W>,
    ) -> Option<Followed<W>> {
        match self.phase {
            Phase::Landed => return Some(Followed::Landed),
            // No caller runs the body of a spawned flight: see `relaunch`.
            Phase::Vacant if self.spawned => return Some(Followed::Vacant),
            Phase::Vacant => {
                self.leave(slot);
                self.phase = Phase::Led;
                self.turn += 1;
                self.idle = 0;
                return Some(Followed::Leads(self.turn));
            }
            Phase::Led => {}
        }
        let Some(slot) = slot else {
            return waker
                .take()
                .map(|waker| Followed::Waits(self.place(waker), None));
        };
        let place = &mut self.followers[slot as usize];
        match place {
            Place::Waiting(old) if same(old) => Some(Followed::Waits(slot, None)),
            _ => waker
                .take()
                .map(|waker| match mem::replace(place, Place::Waiting(waker)) {
                    Place::Waiting(old) => Followed::Waits(slot, Some(old)),
                    _ => Followed::Waits(slot, None),
                }),
        }
    }

    fn place(&mut self, waker: W) -> Slot {
        self.seated += 1;
        match self.free {
            Some(slot) => {
                let place = mem::replace(&mut self.followers[slot as usize], Place::Waiting(waker));
                self.free = match place {
                    Place::Free(next) => next,
                    _ => unreachable!("the free list holds free places"),
                };
                slot
            }
            None => {
                let slot = Slot::try_from(self.followers.len()).expect("fewer than 2^32 followers");
                self.followers.push(Place::Waiting(waker));
                slot
            }
        }
    }

    /// A follower goes, from its place or before it had one. Returns its waker, to be dropped after unlocking.
    pub(crate) fn leave(&mut self, slot: Option<Slot>) -> Option<W> {
        self.gone += 1;
        let slot = slot?;
        // After landing the places are gone.
        let place = self.followers.get_mut(slot as usize)?;
        let place = mem::replace(place, Place::Free(self.free));
        self.free = Some(slot);
        self.seated -= 1;
        match place {
            Place::Waiting(waker) => Some(waker),
            _ => None,
        }
    }

    /// Whether nobody needs this flight any more, if there are no followers but those that have a place.
    pub(crate) fn may_be_abandoned(&self) -> bool {
        match self.phase {
            Phase::Led => self.spawned && self.seated == 0,
            Phase::Vacant => true,
            Phase::Landed => false,
        }
    }

    /// A caller of a spawned flight is polled. `can_start`: it still has the body.
    pub(crate) fn relaunch(&mut self, can_start: bool) -> Relaunch {
        if self.phase != Phase::Vacant {
            return Relaunch::No;
        }
        if can_start {
            self.turn += 1;
        } else if self.lost {
            return Relaunch::Lost;
        }
        // Without a body it can only hope for the stalled task, whose turn it still is, to go on.
        self.phase = Phase::Led;
        self.idle = 0;
        if can_start {
            Relaunch::Start(self.turn)
        } else {
            Relaunch::No
        }
    }

    /// A task is polled: whether it leads no more, and has to end.
    pub(crate) fn retires(&mut self, turn: Turn) -> bool {
        self.lost |= self.phase == Phase::Vacant && self.turn == turn;
        !self.is_led_by(turn)
    }

    /// The leader was polled and goes on waiting. `waker` as in [`follow`](Self::follow): `Ok(true)` if it is needed.
    pub(crate) fn rest(
        &mut self,
        turn: Turn,
        same: impl FnOnce(&W) -> bool,
        waker: &mut Option<W>,
    ) -> Result<Rest<W>, Deposed> {
        if !self.is_led_by(turn) {
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

    /// The leader goes without a result. Returns the followers to wake.
    pub(crate) fn vacate(&mut self, turn: Turn) -> Result<Vacated<W>, Deposed> {
        if !self.is_led_by(turn) {
            return Err(Deposed);
        }
        self.phase = Phase::Vacant;
        self.lost = true;
        Ok(Vacated {
            leader: self.leader.take(),
            followers: self.take_wakers(),
        })
    }

    /// The leader has the result. Returns the followers' wakers; the places are gone.
    pub(crate) fn land(&mut self, turn: Turn) -> Result<Landed<W>, Deposed> {
        if !self.is_led_by(turn) {
            return Err(Deposed);
        }
        self.phase = Phase::Landed;
        Ok(Landed {
            leader: self.leader.take(),
            followers: Followers(mem::take(&mut self.followers)),
        })
    }

    /// The last follower of a vacant or spawned flight has gone: nobody will come. Returns the leader, to be told.
    pub(crate) fn close(&mut self) -> Option<W> {
        self.phase = Phase::Landed;
        self.leader.take()
    }

    /// The watch passes by. `polled` says that the leader is being polled at this moment.
    pub(crate) fn tick(&mut self, polled: impl FnOnce() -> bool) -> Tick<W> {
        if self.phase != Phase::Led {
            return Tick::Nothing;
        }
        if self.seated == 0 {
            self.idle = 0;
            return Tick::Nothing;
        }
        self.idle = self.idle.saturating_add(1);
        if self.idle == PROD_AFTER {
            if let Some(leader) = self.leader.take() {
                return Tick::Prod(leader);
            }
        }
        if self.idle < DEPOSE_AFTER {
            return Tick::Nothing;
        }
        if polled() {
            self.idle = 0;
            return Tick::Nothing;
        }
        self.phase = Phase::Vacant;
        self.lost = false;
        Tick::Deposed {
            followers: self.take_wakers(),
            leader: self.leader.take(),
        }
    }

    fn take_wakers(&mut self) -> Vec<W> {
        self.followers
            .iter_mut()
            .filter(|place| matches!(place, Place::Waiting(_)))
            .filter_map(|place| match mem::replace(place, Place::Woken) {
                Place::Waiting(waker) => Some(waker),
                _ => None,
            })
            .collect()
    }
}

/// What a leader that goes on waiting has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rest<W> {
    /// Nothing, but to drop a waker that was replaced, after unlocking.
    Done(Option<W>),
    /// Come again with a waker.
    NeedsWaker,
}

/// A leader went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Vacated<W> {
    pub(crate) leader: Option<W>,
    pub(crate) followers: Vec<W>,
}

/// A flight landed.
#[derive(Debug)]
pub(crate) struct Landed<W> {
    pub(crate) leader: Option<W>,
    pub(crate) followers: Followers<W>,
}

/// The wakers of those who waited.
#[derive(Debug)]
pub(crate) struct Followers<W>(Vec<Place<W>>);

impl<W> IntoIterator for Followers<W> {
    type Item = W;
    type IntoIter = std::iter::FilterMap<std::vec::IntoIter<Place<W>>, fn(Place<W>) -> Option<W>>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().filter_map(|place| match place {
            Place::Waiting(waker) => Some(waker),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
