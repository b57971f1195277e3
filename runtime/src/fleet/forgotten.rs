//! What a forget returns: a future of the store's answer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::call::Settings;
use super::engine::{Flight, Unanswered};
use super::hub::Hub;
use super::seen::Command;
use super::timer::Alarm;
use crate::sync::Mutex;
use crate::wake::{discard, offer, wake_all};

/// The store's answer to a [`forget`](super::Fleet::forget): to be awaited, or ignored.
#[must_use = "await it to know that other processes have forgotten, or drop it explicitly"]
pub struct Forgotten {
    cell: Arc<Mutex<Answer>>,
    alarm: Option<(Instant, Alarm)>,
    /// When the answer is late, and what is done about that.
    late: Option<(Instant, Arc<Hub>, Duration)>,
}

#[derive(Default)]
struct Answer {
    answer: Option<Result<(), Unanswered>>,
    waker: Option<Waker>,
}

impl Forgotten {
    pub(super) fn of(flight: &Flight, hub: &Arc<Hub>, settings: Settings) -> Self {
        let cell = Arc::new(Mutex::new(Answer::default()));
        let Settings { patience, slow, .. } = settings;
        let reply = hub.reply(Command::Forget, {
            let (cell, hub) = (cell.clone(), hub.clone());
            move |answer: Result<(), Unanswered>| {
                if answer.is_err() {
                    hub.stay_local(patience);
                }
                let waker = {
                    let mut cell = cell.lock();
                    cell.answer.get_or_insert(answer);
                    cell.waker.take()
                };
                wake_all(waker);
            }
        });
        hub.engine().forget(flight, reply);
        Self {
            cell,
            alarm: None,
            late: Instant::now()
                .checked_add(slow)
                .map(|at| (at, hub.clone(), patience)),
        }
    }

    /// There is nothing to forget.
    pub(super) fn done() -> Self {
        Self {
            cell: Arc::new(Mutex::new(Answer {
                answer: Some(Ok(())),
                waker: None,
            })),
            alarm: None,
            late: None,
        }
    }
}

impl Future for Forgotten {
    type Output = Result<(), Unanswered>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { cell, alarm, late } = &mut *self;
        // Before locking: a waker's `Clone` is user code.
        let mut offered = Some(cx.waker().clone());
        let mut state = cell.lock();
        let answer = state.answer;
        if answer.is_none() {
            let same = |old: &Waker| old.will_wake(cx.waker());
            offer(&mut state.waker, same, &mut offered);
        }
        drop(state);
        discard(offered);
        if let Some(answer) = answer {
            return Poll::Ready(answer);
        }
        if let Some((at, hub, patience)) = late {
            if *at <= Instant::now() {
                hub.stay_local(*patience);
                return Poll::Ready(Err(Unanswered));
            }
            *alarm = Some((*at, Alarm::new(*at, cx.waker().clone())));
        }
        Poll::Pending
    }
}

impl fmt::Debug for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forgotten")
    }
}
