//! What the calls of one engine have in common: whether the store can be reached, who listens for which execution, and what
//! must be given up once it can be reached again.
//!
//! Lock order: the hub's, then nothing. Mailboxes, engines and wakers are called after unlocking.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Once, Weak};
use std::time::{Duration, Instant};

use super::engine::{Engine, Flight, Reply, Token, Unanswered};
use super::machine::{Event, Why};
use super::mailbox::Mailbox;
use super::seen::{Command, Seen};
use super::stats::{Counters, FleetStats};
use super::wakes::{Heard, Hears, Wakes};
use crate::sync::Mutex;

/// Late answers in a row, after which no call uses the store until the engine has checked it.
const AWAY_AFTER: u32 = 3;
/// Wake-ups that are kept for calls that have not said yet what they listen for.
const EARLY: usize = 256;
/// Executions that are given up later; beyond, they are left to their lease.
const UNSURE: usize = 4096;

pub(crate) struct Hub {
    engine: Box<dyn Engine>,
    started: Once,
    up: AtomicBool,
    closed: AtomicBool,
    late: AtomicU32,
    /// Milliseconds since `begin` until which calls stay local, after a forget that the store did not confirm.
    local_until: AtomicU64,
    begin: Instant,
    registry: Mutex<Registry>,
    pub(crate) counters: Counters,
    seen: Seen,
}

#[derive(Default)]
struct Registry {
    mailboxes: HashMap<Token, Vec<Arc<Mailbox>>>,
    early: VecDeque<Token>,
    /// What may be up in the store although its leader has gone.
    unsure: HashSet<(Flight, Token)>,
}

impl Hub {
    pub(crate) fn new(fleet: &str, engine: Box<dyn Engine>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            started: Once::new(),
            up: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            late: AtomicU32::new(0),
            local_until: AtomicU64::new(0),
            begin: Instant::now(),
            registry: Mutex::default(),
            counters: Counters::default(),
            seen: Seen::new(fleet),
        })
    }

    /// Starts the engine, once. It connects in the background: no call waits for that.
    pub(crate) fn start(self: &Arc<Self>) {
        self.started.call_once(|| {
            self.seen.describe();
            self.changed();
            let hub: Weak<Self> = Arc::downgrade(self);
            self.engine.start(Wakes(hub));
        });
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// A reply to a command that is given now.
    pub(crate) fn reply<T: 'static>(
        &self,
        command: Command,
        then: impl FnOnce(Result<T, Unanswered>) + Send + 'static,
    ) -> Reply<T> {
        self.seen.reply(command, then)
    }

    /// Whether the store can be reached has changed.
    fn changed(&self) {
        self.seen
            .changed(|| self.is_up() && !self.closed.load(Relaxed));
    }

    /// Whether a call that begins now takes part.
    pub(crate) fn takes_part(&self) -> Result<(), Why> {
        if self.closed.load(Relaxed) {
            return Err(Why::Closed);
        }
        let local_until = self.local_until.load(Relaxed);
        if !self.is_up() || local_until > 0 && self.millis() < local_until {
            return Err(Why::Silent);
        }
        Ok(())
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Acquire)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A forget was not confirmed: until no older execution can be joined any more, calls stay local.
    pub(crate) fn stay_local(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let until = self.millis().saturating_add(time).saturating_add(1);
        self.local_until.fetch_max(until, Relaxed);
    }

    fn up(&self) {
        let unsure = std::mem::take(&mut self.registry.lock().unsure);
        self.late.store(0, Relaxed);
        let was_up = self.up.swap(true, Release);
        self.changed();
        for (flight, token) in unsure {
            self.give_up(&flight, token);
        }
        if !was_up {
            // Each once, though it may listen for two executions.
            let mut mailboxes: Vec<_> = {
                let registry = self.registry.lock();
                registry.mailboxes.values().flatten().cloned().collect()
            };
            mailboxes.sort_by_key(|mailbox| Arc::as_ptr(mailbox) as usize);
            mailboxes.dedup_by_key(|mailbox| Arc::as_ptr(mailbox) as usize);
            for mailbox in mailboxes {
                mailbox.post(Event::Up);
            }
        }
    }

    fn down(&self) {
        self.up.store(false, Release);
        self.changed();
    }

    fn tell(&self, token: Token, event: &Event, keep: bool) {
        let mut registry = self.registry.lock();
        let mailboxes = match registry.mailboxes.get(&token) {
            Some(mailboxes) => mailboxes.clone(),
            None if keep => {
                if registry.early.len() == EARLY {
                    registry.early.pop_front();
                }
                registry.early.push_back(token);
                return;
            }
            None => return,
        };
        drop(registry);
        for mailbox in mailboxes {
            mailbox.post(event.clone());
        }
    }

    pub(crate) fn listen(&self, token: Token, mailbox: &Arc<Mailbox>) {
        let mut registry = self.registry.lock();
        registry
            .mailboxes
            .entry(token)
            .or_default()
            .push(mailbox.clone());
        let early = registry.early.contains(&token);
        drop(registry);
        if early {
            mailbox.post(Event::Told(token));
        }
    }

    pub(crate) fn unlisten(&self, token: Token, mailbox: &Arc<Mailbox>) {
        let mut registry = self.registry.lock();
        if let Some(mailboxes) = registry.mailboxes.get_mut(&token) {
            mailboxes.retain(|other| !Arc::ptr_eq(other, mailbox));
            if mailboxes.is_empty() {
                registry.mailboxes.remove(&token);
                if registry.mailboxes.is_empty() {
                    registry.mailboxes.shrink_to(64);
                }
            }
        }
    }

    /// An answer was late.
    pub(crate) fn late(&self) {
        if self.late.fetch_add(1, Relaxed) + 1 >= AWAY_AFTER && self.up.swap(false, Relaxed) {
            self.changed();
            self.engine.suspect();
        }
    }

    /// An answer came in time.
    pub(crate) fn in_time(&self) {
        if self.late.load(Relaxed) != 0 {
            self.late.store(0, Relaxed);
        }
    }

    /// Whether this execution is up in the store is unknown, and nobody leads it.
    pub(crate) fn unsure(&self, flight: &Flight, token: Token) {
        let mut registry = self.registry.lock();
        if registry.unsure.len() < UNSURE {
            registry.unsure.insert((flight.clone(), token));
        }
    }

    /// Ends an execution without a result: one of those that wait takes over.
    pub(crate) fn give_up(&self, flight: &Flight, token: Token) {
        let none = self.reply(Command::Land, |_| {});
        self.engine
            .land(flight, token, Vec::new(), Duration::from_millis(1), none);
    }

    /// Gives up what this process leads, and takes no part from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Relaxed);
        self.changed();
        let mailboxes: Vec<_> = {
            let registry = self.registry.lock();
            registry.mailboxes.values().flatten().cloned().collect()
        };
        for mailbox in mailboxes {
            mailbox.post(Event::Closing);
        }
    }

    pub(crate) fn stats(&self) -> FleetStats {
        self.counters.stats(self.is_up())
    }

    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        let registry = self.registry.lock();
        registry.mailboxes.is_empty() && registry.unsure.is_empty()
    }
}

impl Hears for Hub {
    fn hear(&self, heard: Heard) {
        match heard {
            Heard::Up => self.up(),
            Heard::Down => self.down(),
            Heard::Landed(token) => self.tell(token, &Event::Told(token), true),
            Heard::Forgotten(token) => self.tell(token, &Event::Forgotten(token), false),
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("up", &self.is_up())
            .finish_non_exhaustive()
    }
}
