//! Which executions wait for which others.
//!
//! A body may call an annotated function whose flight another call leads, or a task: its own execution then waits for
//! that one. Executions that wait for each other, over however many steps, would do so for ever; the call that would close
//! the circle runs its body by itself instead, as one from inside its own execution does. Only calls from inside of an
//! execution are noted here, once they wait: all others pass by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::frames::{self, Execution};

/// A call that is noted. Zero is none.
pub(crate) type Ticket = u32;

struct Waits {
    last: Ticket,
    /// Which executions wait for which one.
    noted: BTreeMap<Ticket, (Vec<Execution>, Execution)>,
    /// The same by who waits.
    of: BTreeMap<Execution, Vec<Execution>>,
}

static WAITS: Mutex<Waits> = Mutex::new(Waits {
    last: 0,
    noted: BTreeMap::new(),
    of: BTreeMap::new(),
});

fn waits() -> MutexGuard<'static, Waits> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that is being polled waits for `flight`. `None`: `flight` waits for the call, which must not.
#[cold]
pub(crate) fn note(flight: Execution) -> Option<Ticket> {
    let around = frames::around();
    let mut waits = waits();
    if waits.reach(flight, &around) {
        return None;
    }
    Some(waits.note(around, flight))
}

/// The call waits no more.
#[cold]
pub(crate) fn strike(ticket: Ticket) {
    waits().strike(ticket);
}

impl Waits {
    /// Whether `from` waits, by itself or through others, for one of `goals`.
    fn reach(&self, from: Execution, goals: &[Execution]) -> bool {
        let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
        while let Some(execution) = next.pop() {
            if goals.contains(&execution) {
                return true;
            }
            let on = self.of.get(&execution).into_iter().flatten();
            next.extend(on.filter(|on| seen.insert(**on)));
        }
        false
    }

    fn note(&mut self, around: Vec<Execution>, flight: Execution) -> Ticket {
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && !self.noted.contains_key(&self.last) {
                break;
            }
        }
        for execution in &around {
            self.of.entry(*execution).or_default().push(flight);
        }
        self.noted.insert(self.last, (around, flight));
        self.last
    }

    fn strike(&mut self, ticket: Ticket) {
        let Some((around, flight)) = self.noted.remove(&ticket) else {
            return;
        };
        for execution in around {
            let Some(on) = self.of.get_mut(&execution) else {
                continue;
            };
            if let Some(at) = on.iter().position(|on| *on == flight) {
                on.swap_remove(at);
            }
            if on.is_empty() {
                self.of.remove(&execution);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution(id: u64) -> Execution {
        Execution { table: 1, id }
    }

    #[test]
    fn a_circle_is_seen_however_long_and_gone_with_one_of_its_waits() {
        let mut waits = Waits {
            last: Ticket::MAX - 5,
            noted: BTreeMap::new(),
            of: BTreeMap::new(),
        };
        let tickets: Vec<_> = (0..10)
            .map(|id| {
                assert!(!waits.reach(execution(id + 1), &[execution(id)]));
                waits.note(vec![execution(100), execution(id)], execution(id + 1))
            })
            .collect();
        assert!(!tickets.contains(&0));
        assert!(waits.reach(execution(0), &[execution(10)]));
        assert!(waits.reach(execution(100), &[execution(5)]));
        assert!(!waits.reach(execution(10), &[execution(0)]));
        waits.strike(tickets[4]);
        assert!(!waits.reach(execution(0), &[execution(10)]));
        for ticket in tickets {
            waits.strike(ticket);
        }
        assert!(waits.of.is_empty() && waits.noted.is_empty());
    }

    #[test]
    fn one_that_waits_twice_waits_until_both_have_ended() {
        let mut waits = Waits {
            last: 0,
            noted: BTreeMap::new(),
            of: BTreeMap::new(),
        };
        let tickets = [(); 2].map(|()| waits.note(vec![execution(1)], execution(2)));
        waits.strike(tickets[0]);
        assert!(waits.reach(execution(1), &[execution(2)]));
        waits.strike(tickets[1]);
        assert!(!waits.reach(execution(1), &[execution(2)]));
    }
}
