//! A store in this process, for tests: those of this crate and those of its users.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::{Closed, Engine, Flight, Joined, Looked, Renewed, Reply, Terms, Token};
use super::store::{Inbox, Seen, Store};
use super::wakes::Wakes;
use crate::sync::Mutex;

/// An [`Engine`] in memory: a fleet of several "processes" within one test.
///
/// Each value is one process of the fleet. A process whose engine is dropped is a process that was killed.
///
/// ```
/// use piggyback::fleet::{Fleet, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = Memory::new();
/// let [a, b] = [store.process(), store.process()].map(|process| Fleet::new("test", process).with_build("1"));
///
/// let body = async {
///     tokio::task::yield_now().await;
///     "from a".to_owned()
/// };
/// let (first, second) = tokio::join!(
///     a.share("report", &7, body),
///     b.share("report", &7, async { "from b".to_owned() }),
/// );
/// assert_eq!((first, second), ("from a".to_owned(), "from a".to_owned()));
/// # }
/// ```
pub struct Memory {
    shared: Arc<Shared>,
    inbox: Inbox,
}

struct Shared {
    begin: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    flights: HashMap<Flight, Store>,
    processes: HashMap<Inbox, Option<Wakes>>,
    last: Inbox,
    silent: bool,
}

impl Memory {
    /// A store, with its first process.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let shared = Shared {
            begin: Instant::now(),
            state: Mutex::default(),
        };
        Self::of(Arc::new(shared))
    }

    /// Another process of the same store.
    pub fn process(&self) -> Self {
        Self::of(self.shared.clone())
    }

    /// While a store is silent, it executes no command, and answers none.
    pub fn set_silent(&self, silent: bool) {
        let mut state = self.shared.state.lock();
        state.silent = silent;
        let processes: Vec<_> = state.processes.values().flatten().cloned().collect();
        drop(state);
        for wakes in processes {
            if silent {
                wakes.down();
            } else {
                wakes.up();
            }
        }
    }

    /// Whether nothing is stored: no execution is up, and no result is kept.
    pub fn is_empty(&self) -> bool {
        let now = self.now();
        let mut state = self.shared.state.lock();
        state.flights.retain(|_, store| !store.is_empty(now));
        state.flights.is_empty()
    }

    fn of(shared: Arc<Shared>) -> Self {
        let mut state = shared.state.lock();
        state.last += 1;
        let inbox = state.last;
        state.processes.insert(inbox, None);
        drop(state);
        Self { shared, inbox }
    }

    fn now(&self) -> u64 {
        millis(self.shared.begin.elapsed())
    }

    /// One command. `then` runs after unlocking.
    fn run<T, U>(
        &self,
        flight: &Flight,
        reply: Reply<T>,
        command: impl FnOnce(&mut Store, u64, &HashMap<Inbox, Option<Wakes>>) -> (T, U),
        then: impl FnOnce(U),
    ) {
        let mut state = self.shared.state.lock();
        // Under the lock, so that no command comes before one that was executed earlier.
        let now = self.now();
        if state.silent {
            drop(state);
            return;
        }
        let State {
            flights, processes, ..
        } = &mut *state;
        let store = flights.entry(flight.clone()).or_default();
        let (answer, rest) = command(store, now, processes);
        if store.is_empty(now) {
            flights.remove(flight);
        }
        drop(state);
        reply.answer(answer);
        then(rest);
    }
}

fn millis(time: Duration) -> u64 {
    // Decades, and sums of these.
    u64::try_from(time.as_millis()).map_or(1 << 40, |millis| millis.min(1 << 40))
}

fn of_inboxes(inboxes: &[Inbox], processes: &HashMap<Inbox, Option<Wakes>>) -> Vec<Wakes> {
    let known = inboxes.iter().filter_map(|inbox| processes.get(inbox));
    known.flatten().cloned().collect()
}

impl Engine for Memory {
    fn start(&self, wakes: Wakes) {
        let mut state = self.shared.state.lock();
        state.processes.insert(self.inbox, Some(wakes.clone()));
        let silent = state.silent;
        drop(state);
        if !silent {
            wakes.up();
        }
    }

    fn join(&self, flight: &Flight, token: Token, terms: Terms, reply: Reply<Joined>) {
        let inbox = self.inbox;
        let command = move |store: &mut Store, now, processes: &HashMap<Inbox, _>| {
            let (lease, max_age) = (millis(terms.lease), millis(terms.max_age));
            let alive = |owner| processes.contains_key(&owner);
            let grant = store.join(now, token, inbox, lease, max_age, alive);
            let joined = if grant.token == token {
                Joined::Leads
            } else if grant.owner == inbox {
                Joined::Mine
            } else {
                Joined::Follows {
                    token: grant.token,
                    lease_left: Duration::from_millis(grant.lease_left),
                    age: Duration::from_millis(grant.age),
                }
            };
            (joined, ())
        };
        self.run(flight, reply, command, drop);
    }

    fn look(&self, flight: &Flight, token: Token, max_bytes: usize, reply: Reply<Looked>) {
        let command = |store: &mut Store, now, processes: &HashMap<Inbox, _>| {
            let alive = |owner| processes.contains_key(&owner);
            let looked = match store.look(now, token, max_bytes, alive) {
                Seen::Landed(bytes) => Looked::Landed(bytes),
                Seen::Large => Looked::Large,
                Seen::Up {
                    lease_left,
                    current,
                } => Looked::Up {
                    lease_left: Duration::from_millis(lease_left),
                    current,
                },
                Seen::Gone => Looked::Gone,
            };
            (looked, ())
        };
        self.run(flight, reply, command, drop);
    }

    fn renew(&self, flight: &Flight, token: Token, lease: Duration, reply: Reply<Renewed>) {
        let lease = millis(lease);
        self.run(
            flight,
            reply,
            |store, now, _| (store.renew(now, token, lease), ()),
            drop,
        );
    }

    fn close(&self, flight: &Flight, token: Token, reply: Reply<Closed>) {
        self.run(
            flight,
            reply,
            |store, now, _| (store.close(now, token), ()),
            drop,
        );
    }

    fn land(
        &self,
        flight: &Flight,
        token: Token,
        bytes: Vec<u8>,
        keep: Duration,
        reply: Reply<()>,
    ) {
        let command = |store: &mut Store, now, processes: &HashMap<Inbox, Option<Wakes>>| {
            let told = store.land(now, token, &bytes, millis(keep));
            ((), of_inboxes(&told.unwrap_or_default(), processes))
        };
        let tell = |told: Vec<Wakes>| told.iter().for_each(|wakes| wakes.landed(token));
        self.run(flight, reply, command, tell);
    }

    fn forget(&self, flight: &Flight, reply: Reply<()>) {
        let command = |store: &mut Store, now, processes: &HashMap<Inbox, Option<Wakes>>| {
            let told = store.forget(now);
            (
                (),
                told.map(|(token, told)| (token, of_inboxes(&told, processes))),
            )
        };
        let tell = |told: Option<(Token, Vec<Wakes>)>| {
            if let Some((token, told)) = told {
                told.iter().for_each(|wakes| wakes.forgotten(token));
            }
        };
        self.run(flight, reply, command, tell);
    }

    fn suspect(&self) {
        let state = self.shared.state.lock();
        let wakes = state.processes.get(&self.inbox).cloned().flatten();
        let silent = state.silent;
        drop(state);
        if let Some(wakes) = wakes.filter(|_| !silent) {
            wakes.up();
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.shared.state.lock().processes.remove(&self.inbox);
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("process", &self.inbox)
            .finish_non_exhaustive()
    }
}
