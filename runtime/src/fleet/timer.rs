//! Timers on std's clock, in one thread of the process.
//!
//! Not tokio's: a call must be able to stop waiting for the store on a runtime without timers, on another executor, and
//! under a paused clock, which would otherwise jump past every answer that comes from outside.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::wake::wake;

/// How long the thread stays without a timer.
const IDLE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Timers {
    waiting: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    thread: bool,
}

struct Clock {
    timers: Mutex<Timers>,
    changed: Condvar,
}

fn clock() -> &'static Clock {
    static CLOCK: OnceLock<Clock> = OnceLock::new();
    CLOCK.get_or_init(|| Clock {
        timers: Mutex::default(),
        changed: Condvar::new(),
    })
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut timers = self.lock();
        let mut idle_since = Instant::now();
        loop {
            let now = Instant::now();
            match timers.waiting.first_entry() {
                Some(first) if first.key().0 <= now => {
                    let waker = first.remove();
                    drop(timers);
                    wake(waker);
                    timers = self.lock();
                    idle_since = Instant::now();
                }
                Some(first) => {
                    let wait = first.key().0 - now;
                    timers = self.wait(timers, wait);
                    idle_since = Instant::now();
                }
                None if idle_since.elapsed() >= IDLE => {
                    timers.thread = false;
                    return;
                }
                None => timers = self.wait(timers, IDLE),
            }
        }
    }

    fn wait<'a>(&self, timers: MutexGuard<'a, Timers>, time: Duration) -> MutexGuard<'a, Timers> {
        let waited = self.changed.wait_timeout(timers, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Wakes a task at an instant, unless it is dropped before.
#[derive(Debug)]
pub(crate) struct Alarm(Instant, u64);

impl Alarm {
    pub(crate) fn new(at: Instant, waker: Waker) -> Self {
        let clock = clock();
        let mut timers = clock.lock();
        timers.next += 1;
        let id = timers.next;
        let first = timers
            .waiting
            .first_key_value()
            .is_none_or(|(key, _)| at < key.0);
        timers.waiting.insert((at, id), waker);
        if !timers.thread {
            let thread = std::thread::Builder::new().name("piggyback-fleet".to_owned());
            // Without a thread, the next alarm tries again; answers from the store still wake the call.
            timers.thread = thread.spawn(|| clock.run()).is_ok();
        } else if first {
            clock.changed.notify_one();
        }
        Self(at, id)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let waker = clock().lock().waiting.remove(&(self.0, self.1));
        crate::wake::discard(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::task::Wake;

    struct Counts(AtomicU32);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn an_alarm_wakes_once_and_a_dropped_one_never() {
        let counts: Vec<_> = (0..20)
            .map(|_| Arc::new(Counts(AtomicU32::new(0))))
            .collect();
        let begin = Instant::now();
        let mut alarms: Vec<_> = (0..20)
            .map(|n| {
                let at = begin + Duration::from_millis(50 + 5 * (n * 7 % 20));
                Some(Alarm::new(at, counts[n as usize].clone().into()))
            })
            .collect();
        for alarm in alarms.iter_mut().step_by(2) {
            *alarm = None;
        }
        while counts
            .iter()
            .skip(1)
            .step_by(2)
            .any(|count| count.0.load(SeqCst) == 0)
        {
            assert!(begin.elapsed() < Duration::from_secs(20), "all go off");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(alarms);
        for (n, count) in counts.iter().enumerate() {
            assert_eq!(count.0.load(SeqCst), n as u32 % 2);
        }
    }
}
