//! What goes into the machine, and what comes out.

use crate::fleet::codec;
use crate::fleet::engine::{Closed, Looked, Renewed, Token};

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

/// A JOIN's answer, without its durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Granted {
    Leads,
    Follows(Token),
    /// Another call of this process leads.
    Mine,
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
            Looked::Landed(bytes) if bytes.first() == Some(&codec::VALUE) => Self::Landed,
            Looked::Landed(_) | Looked::Large => Self::Nothing,
            Looked::Up { current, .. } => Self::Up { current: *current },
            Looked::Gone => Self::Gone,
        }
    }
}

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
