//! What a store has to do for a fleet: six verbs, each a single atomic step in the store, and wake-ups.
//!
//! Here, a *flight* is one key of one function. An *execution* in it is known by a [`Token`]. For each flight, the store
//! keeps the running executions, which of them new calls join, and which processes wait for each. It also keeps, briefly, the
//! results of those that have landed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use super::token::Token;
use super::wakes::Wakes;

/// The name of a flight: the fleet, the function, its types, the build and the key, in bytes. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flight(Arc<[u8]>);

impl Flight {
    /// A flight by the parts of its name. The hash in the name is the same in all processes, and decides the flight's slot in
    /// a cluster.
    pub(crate) fn new(fleet: &str, function: &str, build: &str, key: &[u8]) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in [function.as_bytes(), build.as_bytes(), key].concat() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // A cluster hashes only what is between the first braces, so the fleet's name must have none. The length tells where
        // the function's name ends.
        let fleet = fleet.replace(['{', '}'], "_");
        let mut name = format!(
            "piggyback:{fleet}:1:{{{hash:016x}}}:f:{}:{function}:{build}:",
            function.len()
        )
        .into_bytes();
        name.extend_from_slice(key);
        Self(name.into())
    }

    /// Its name: `piggyback:<fleet>:1:{<hash>}:f:…`.
    pub fn name(&self) -> &[u8] {
        &self.0
    }

    /// The name of an execution's result, in the same slot of a cluster: `piggyback:<fleet>:1:{<hash>}:r:<token>`.
    pub fn result_name(&self, token: Token) -> Vec<u8> {
        let end = self.0.iter().position(|&byte| byte == b'}');
        let mut name = self.0[..=end.expect("a flight's name has braces")].to_vec();
        name.extend_from_slice(format!(":r:{token}").as_bytes());
        name
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.0))
    }
}

/// A store that the processes of a fleet share.
///
/// Each method is one command, executed by the store in one step. None of them blocks, waits or panics: the answer goes into
/// the [`Reply`], from any thread, at any time; a reply that is dropped says that there will be no answer. Commands of one
/// engine are executed in the order in which they were given, as far as they are executed at all; none is executed twice.
///
/// The two implementations to learn from are [`Memory`](super::Memory) and the crate `piggyback-redis`.
pub trait Engine: Send + Sync + 'static {
    /// Starts in the background; called once, before any command. Calls use the engine between [`Wakes::up`] and
    /// [`Wakes::down`]. Before `up`, this process must be able to receive wake-ups.
    fn start(&self, wakes: Wakes);

    /// Joins the current execution of `flight` if it is up and began at most `terms.max_age` ago; otherwise begins a new one,
    /// `token`, which is current from now on and up for `terms.lease`. A process that joins is one of those that wait.
    fn join(&self, flight: &Flight, token: Token, terms: Terms, reply: Reply<Joined>);

    /// Looks at the result of an execution, or whether it is up. Values above `max_bytes` are not transferred.
    fn look(&self, flight: &Flight, token: Token, max_bytes: usize, reply: Reply<Looked>);

    /// The execution is up for another `lease`.
    fn renew(&self, flight: &Flight, token: Token, lease: Duration, reply: Reply<Renewed>);

    /// Ends an execution if no process waits for it.
    fn close(&self, flight: &Flight, token: Token, reply: Reply<Closed>);

    /// Ends an execution, if it is up: keeps `bytes` for `keep` (unless there are none) and wakes all processes that wait.
    fn land(&self, flight: &Flight, token: Token, bytes: Vec<u8>, keep: Duration, reply: Reply<()>);

    /// From now on, calls don't join the current execution. Tells its owner and all processes that wait for it.
    fn forget(&self, flight: &Flight, reply: Reply<()>);

    /// Several answers in a row were late, and no call uses the engine any more: check the connection, and say
    /// [`Wakes::up`] again once it works.
    fn suspect(&self);
}

/// The terms of a JOIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// For how long a new execution is up without a renewal.
    pub lease: Duration,
    /// How old an execution may be that is joined.
    pub max_age: Duration,
}

/// The answer to a JOIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// A new execution began, with the token of the JOIN.
    Leads,
    /// An execution is up, and this process is now one of those that wait for it.
    Follows {
        /// Which.
        token: Token,
        /// For how long it is up without a renewal.
        lease_left: Duration,
        /// How long ago it began.
        age: Duration,
    },
    /// An execution is up that this process began.
    Mine,
}

/// The answer to a LOOK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// It has landed with these bytes.
    Landed(Vec<u8>),
    /// It has landed with more bytes than were asked for.
    Large,
    /// It is up.
    Up {
        /// For how long, without a renewal.
        lease_left: Duration,
        /// New calls join it.
        current: bool,
    },
    /// It is neither up, nor is there a result.
    Gone,
}

/// The answer to a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Renewed {
    /// It is up, and new calls join it.
    Current,
    /// It is up, but new calls don't join it.
    Superseded,
    /// It is no longer up.
    Lost,
}

/// The answer to a CLOSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Closed {
    /// No process waits, and the execution has ended.
    Alone,
    /// Processes wait, and it is still up.
    Waiting,
    /// It was no longer up.
    Lost,
}

/// There will be no answer. Whether the command was executed is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered;

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store did not answer")
    }
}

impl std::error::Error for Unanswered {}

type Callback<T> = Box<dyn FnOnce(Result<T, Unanswered>) + Send>;

/// Where an answer goes. Dropping it says that there will be none.
pub struct Reply<T>(Option<Callback<T>>);

impl<T> Reply<T> {
    /// A reply that calls a function, from the thread that has the answer.
    pub fn new(then: impl FnOnce(Result<T, Unanswered>) + Send + 'static) -> Self {
        Self(Some(Box::new(then)))
    }

    /// Gives the answer.
    pub fn answer(mut self, answer: T) {
        if let Some(then) = self.0.take() {
            then(Ok(answer));
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(then) = self.0.take() {
            then(Err(Unanswered));
        }
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_read_as_they_are_written() {
        let tokens: std::collections::HashSet<_> = (0..1000).map(|_| Token::random()).collect();
        assert_eq!(tokens.len(), 1000);
        for token in tokens {
            assert_eq!(Token::parse(&token.to_string()), Some(token));
        }
        for bad in ["", "12", "+0000000000000000000000000000001", "é"] {
            assert_eq!(Token::parse(bad), None);
        }
    }

    #[test]
    fn flights_differ_in_each_part_of_their_name() {
        let flights = [
            Flight::new("a", "f", "b", b"k"),
            Flight::new("A", "f", "b", b"k"),
            Flight::new("a", "F", "b", b"k"),
            Flight::new("a", "f", "B", b"k"),
            Flight::new("a", "f", "b", b"K"),
            Flight::new("a", "f:b", "", b"k"),
            Flight::new("a", "f", "b:k", b""),
        ];
        let names: std::collections::HashSet<_> = flights.iter().map(Flight::name).collect();
        assert_eq!(names.len(), flights.len());
    }

    #[test]
    fn a_result_lives_in_the_slot_of_its_flight_whatever_the_names_contain() {
        let flight = Flight::new("a{b}c", "f<{}>", "b{", b"}{k}");
        let result = flight.result_name(Token::from_u128(1));
        let tag = |name: &[u8]| {
            let open = name.iter().position(|&b| b == b'{').expect("opens");
            let close = name.iter().position(|&b| b == b'}').expect("closes");
            name[open..close].to_vec()
        };
        assert_eq!(tag(flight.name()), tag(&result));
        assert!(tag(&result).len() == 17);
    }

    #[test]
    fn a_dropped_reply_says_that_there_is_no_answer() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let other = sender.clone();
        drop(Reply::<u8>::new(move |answer| {
            sender.send(answer).expect("listens")
        }));
        Reply::new(move |answer| other.send(answer).expect("listens")).answer(3);
        let all: Vec<_> = receiver.iter().collect();
        assert_eq!(all, [Err(Unanswered), Ok(3)]);
    }
}
