//! All of a call but its body and its value.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::fleet::codec;
use crate::fleet::engine::{Flight, Token};
use crate::fleet::hub::Hub;
use crate::fleet::machine::{Action, Event, Leaves, Machine, Timer};
use crate::fleet::mailbox::{Left, Mailbox};
use crate::fleet::payload::Encoded;
use crate::fleet::stats::Outcome;
use crate::fleet::timer::Alarm;

/// Followers look for a lost wake-up this often.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a call needs to know of its fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) lease: Duration,
    pub(crate) patience: Duration,
    pub(crate) slow: Duration,
    pub(crate) keep: Duration,
    pub(crate) max_value: usize,
    pub(crate) max_age: Duration,
}

/// Places in `Ride::listens`.
const FOLLOWED: usize = 0;
const OWN: usize = 1;

/// What the `#[dedup]` around a call has to know of it.
pub(crate) trait Around: Send + Sync {
    /// New calls of this process don't join it any more.
    fn close(&self);
    /// It waits for an execution that began this long ago.
    fn began_before(&self, age: Duration);
    /// What became of it.
    fn count(&self, outcome: Outcome);
    /// Whether the store can be reached.
    fn sees(&self, up: bool);
}

/// What a call does next.
pub(super) enum Step {
    /// Poll the body, or, if it waits for others, nothing.
    Wait { runs_body: bool },
    /// Return another process's value.
    Take(Vec<u8>),
    /// Return the body's result.
    Return,
}

pub(super) struct Ride {
    machine: Machine,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) hub: Arc<Hub>,
    pub(super) flight: Flight,
    pub(super) settings: Settings,
    actions: Vec<Action>,
    /// By timer.
    deadlines: [Option<Instant>; 4],
    alarm: Option<(Instant, Waker, Alarm)>,
    /// The execution that it follows, and its own.
    listens: [Option<Token>; 2],
    followed: bool,
    around: Option<Box<dyn Around>>,
}

impl Ride {
    pub(super) fn new(
        hub: Arc<Hub>,
        flight: Flight,
        settings: Settings,
        around: Option<Box<dyn Around>>,
    ) -> Self {
        let mut ride = Self {
            machine: Machine::new(),
            mailbox: Arc::default(),
            hub,
            flight,
            settings,
            actions: Vec::with_capacity(4),
            deadlines: [None; 4],
            alarm: None,
            listens: [None; 2],
            followed: false,
            around,
        };
        ride.on(Event::Start);
        ride
    }

    pub(super) fn on(&mut self, event: Event) {
        self.machine
            .on(event, &mut Token::random, &mut self.actions);
    }

    /// Does what there is to do, until the call waits or returns. `value` is the body's result, if it has one.
    pub(super) fn turn(
        &mut self,
        cx: &Context<'_>,
        value: &mut dyn FnMut() -> Option<Encoded>,
    ) -> Step {
        loop {
            if let Some(step) = self.act(value) {
                return step;
            }
            let due = self.due();
            let waits = due.is_none().then(|| cx.waker());
            if let Some(event) = self.mailbox.next(waits) {
                self.on(event);
                continue;
            }
            let Some(timer) = due else {
                self.set_alarm(cx.waker());
                return Step::Wait {
                    runs_body: self.machine.runs_body(),
                };
            };
            self.disarm(timer);
            if timer == Timer::Slow {
                self.hub.late();
            }
            self.on(Event::Due(timer));
        }
    }

    fn act(&mut self, value: &mut dyn FnMut() -> Option<Encoded>) -> Option<Step> {
        let mut step = None;
        // Actions may lead to events, and these to further actions, but never to another pass through here.
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Join(token) => {
                    // Its own execution: it may be told that new calls don't join it.
                    self.listen(OWN, token);
                    self.join(token);
                }
                Action::Look(token) => self.look(token),
                Action::Renew(token) => self.renew(token),
                Action::Close(token) => self.close(token),
                Action::Land(token, leaves) => {
                    let bytes = self.left_in_place(leaves, value);
                    self.land(token, bytes);
                }
                Action::Arm(timer) => self.arm(timer),
                Action::Disarm(timer) => self.disarm(timer),
                Action::Listen(token) => self.follow(token),
                Action::Supersede => {
                    if let Some(around) = &self.around {
                        around.close();
                    }
                }
                Action::Leads => self.count(Outcome::Led {
                    taken_over: self.followed,
                }),
                Action::Alone(why) => self.count(Outcome::Alone(why)),
                Action::Take => step = Some(Step::Take(self.looked_up())),
                Action::Return => step = Some(Step::Return),
            }
        }
        step
    }

    /// The bytes that are left in place of a flight.
    fn left_in_place(&self, leaves: Leaves, value: &mut dyn FnMut() -> Option<Encoded>) -> Vec<u8> {
        let nothing = || vec![codec::NOTHING];
        match leaves {
            Leaves::Vacancy => Vec::new(),
            Leaves::Nothing => nothing(),
            Leaves::Result => match value() {
                Some(Encoded::Bytes(bytes)) if bytes.len() <= self.settings.max_value => bytes,
                Some(Encoded::Kept) | None => nothing(),
                Some(Encoded::Bytes(_) | Encoded::Unencodable) => {
                    self.count(Outcome::Unshareable);
                    nothing()
                }
            },
        }
    }

    /// The value that was looked up; nothing, if it is too old by now.
    fn looked_up(&self) -> Vec<u8> {
        match self.mailbox.read(|news| news.value.take()) {
            // What was kept for `keep` and was on its way for as long again is too old.
            Some((bytes, asked)) if asked.elapsed() <= self.settings.keep => bytes,
            _ => Vec::new(),
        }
    }

    pub(super) fn count(&self, outcome: Outcome) {
        count(&self.hub, self.around.as_deref(), outcome);
    }

    fn arm(&mut self, timer: Timer) {
        let Settings {
            lease,
            patience,
            slow,
            ..
        } = self.settings;
        let time = match timer {
            Timer::Slow => slow,
            Timer::Renew => lease / 3,
            Timer::Patience => patience,
            Timer::Look => {
                let left = self.mailbox.read(|news| news.lease_left);
                // A millisecond later, it is over in the store, too.
                LOOK_EVERY.min(left + Duration::from_millis(1))
            }
        };
        self.deadlines[timer as usize] = Instant::now().checked_add(time);
    }

    fn disarm(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = None;
    }

    fn due(&self) -> Option<Timer> {
        let now = Instant::now();
        [Timer::Slow, Timer::Look, Timer::Renew, Timer::Patience]
            .into_iter()
            .find(|&timer| self.deadlines[timer as usize].is_some_and(|at| at <= now))
    }

    fn set_alarm(&mut self, waker: &Waker) {
        let Some(first) = self.deadlines.iter().flatten().min().copied() else {
            self.alarm = None;
            return;
        };
        match &self.alarm {
            Some((at, old, _)) if *at == first && old.will_wake(waker) => {}
            _ => self.alarm = Some((first, waker.clone(), Alarm::new(first, waker.clone()))),
        }
    }

    fn follow(&mut self, token: Token) {
        self.followed = true;
        if let Some(around) = &self.around {
            around.began_before(self.mailbox.read(|news| news.age));
        }
        self.listen(FOLLOWED, token);
    }

    fn listen(&mut self, which: usize, token: Token) {
        if let Some(old) = self.listens[which].replace(token) {
            self.hub.unlisten(old, &self.mailbox);
        }
        self.hub.listen(token, &self.mailbox);
    }

    /// The caller is gone.
    fn left(&mut self) -> Left {
        self.on(Event::Dropped);
        if !self.machine.is_abandoned() {
            return Left::Over;
        }
        let (hub, flight) = (self.hub.clone(), self.flight.clone());
        let give_up = move |token| hub.give_up(&flight, token);
        Left::Abandoned(self.machine.clone(), Box::new(give_up))
    }
}

impl Drop for Ride {
    fn drop(&mut self) {
        self.alarm = None;
        for token in self.listens.into_iter().flatten() {
            self.hub.unlisten(token, &self.mailbox);
        }
        let mailbox = self.mailbox.clone();
        while let Some(event) = mailbox.close(|| self.left()) {
            self.on(event);
        }
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Land(token, leaves) => {
                    let bytes = self.left_in_place(leaves, &mut || None);
                    self.land(token, bytes);
                }
                // The call went before it was sent.
                Action::Close(token) => self.hub.give_up(&self.flight, token),
                _ => {}
            }
        }
    }
}

pub(super) fn count(hub: &Hub, around: Option<&dyn Around>, outcome: Outcome) {
    hub.counters.count(outcome);
    if let Some(around) = around {
        around.count(outcome);
    }
}
