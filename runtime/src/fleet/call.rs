//! One call in the fleet, as a future around the body: the [`machine`](super::machine) with its clock, its commands, and the
//! value.
//!
//! Answers and wake-ups are posted into the call's [`Seat`], from any thread, and the task is woken. Only the task moves the
//! machine, until the call is dropped: then the machine stays in the seat for as long as an answer is owed to it.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::codec;
use super::engine::{Flight, Joined, Looked, Reply, Terms, Token};
use super::hub::Hub;
use super::machine::{Action, Event, Granted, Leaves, Look, Machine, Timer, Verb, Why};
use super::payload::{Encoded, Payload};
use super::seen::Command;
use super::stats::Outcome;
use super::timer::Alarm;
use crate::sync::Mutex;
use crate::wake::guarded;

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

/// Where the news for a call are left.
#[derive(Default)]
pub(crate) struct Seat(Mutex<News>);

#[derive(Default)]
struct News {
    events: VecDeque<Event>,
    /// Of the last answer: when to look again.
    lease_left: Duration,
    /// How long ago the execution began that the call waits for.
    age: Duration,
    /// The last value that was looked up, and when it was asked for.
    value: Option<(Vec<u8>, Instant)>,
    waker: Option<Waker>,
    /// The call is over.
    left: Option<Left>,
}

/// What is left of a call that is over.
enum Left {
    /// It waits for the answer to its JOIN.
    Abandoned(Machine, Flight, Arc<Hub>),
    Over,
}

impl Seat {
    pub(crate) fn post(&self, event: Event) {
        self.post_with(event, |_| {});
    }

    fn post_with(&self, event: Event, note: impl FnOnce(&mut News)) {
        let mut news = self.0.lock();
        match &mut news.left {
            None => {
                note(&mut news);
                news.events.push_back(event);
                let waker = news.waker.take();
                drop(news);
                if let Some(waker) = waker {
                    guarded(|| waker.wake());
                }
            }
            Some(Left::Over) => {}
            Some(Left::Abandoned(machine, ..)) => {
                let mut actions = Vec::new();
                machine.on(event, &mut || unreachable!("it asks no more"), &mut actions);
                let over = machine.is_over();
                let Some(Left::Abandoned(_, flight, hub)) = &news.left else {
                    unreachable!("seen above");
                };
                let (flight, hub) = (flight.clone(), hub.clone());
                let old = over.then(|| news.left.replace(Left::Over));
                drop(news);
                for action in actions {
                    if let Action::Land(token, _) = action {
                        hub.give_up(&flight, token);
                    }
                }
                drop(old);
            }
        }
    }
}

/// What a call does next.
enum Step {
    /// Poll the body, or, if it waits for others, nothing.
    Wait { runs_body: bool },
    /// Return another process's value.
    Take(Vec<u8>),
    /// Return the body's result.
    Return,
}

/// All of a call but its body and its value.
struct Ride {
    machine: Machine,
    seat: Arc<Seat>,
    hub: Arc<Hub>,
    flight: Flight,
    settings: Settings,
    actions: Vec<Action>,
    deadlines: [Option<Instant>; 4],
    alarm: Option<(Instant, Waker, Alarm)>,
    listens: [Option<Token>; 2],
    followed: bool,
    around: Option<Box<dyn Around>>,
}

impl Ride {
    fn new(
        hub: Arc<Hub>,
        flight: Flight,
        settings: Settings,
        around: Option<Box<dyn Around>>,
    ) -> Self {
        let mut ride = Self {
            machine: Machine::new(),
            seat: Arc::default(),
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

    fn on(&mut self, event: Event) {
        self.machine
            .on(event, &mut Token::random, &mut self.actions);
    }

    /// Does what there is to do, until the call waits or returns.
    fn turn(&mut self, cx: &Context<'_>, value: &mut dyn FnMut() -> Option<Encoded>) -> Step {
        loop {
            if let Some(step) = self.act(value) {
                return step;
            }
            let mut news = self.seat.0.lock();
            if let Some(event) = news.events.pop_front() {
                drop(news);
                self.on(event);
                continue;
            }
            let now = Instant::now();
            let due = (0..4).find(|&n| self.deadlines[n].is_some_and(|at| at <= now));
            if let Some(due) = due {
                drop(news);
                let timer = [Timer::Slow, Timer::Look, Timer::Renew, Timer::Patience][due];
                self.deadlines[due] = None;
                if timer == Timer::Slow {
                    self.hub.late();
                }
                self.on(Event::Due(timer));
                continue;
            }
            let waker = cx.waker();
            let old = match &news.waker {
                Some(old) if old.will_wake(waker) => None,
                _ => news.waker.replace(waker.clone()),
            };
            drop(news);
            crate::wake::discard(old);
            self.set_alarm(waker);
            return Step::Wait {
                runs_body: self.machine.runs_body(),
            };
        }
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

    fn act(&mut self, value: &mut dyn FnMut() -> Option<Encoded>) -> Option<Step> {
        let mut step = None;
        // Actions may lead to events, and these to further actions, but never to another pass through here.
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Join(token) => self.join(token),
                Action::Look(token) => self.look(token),
                Action::Renew(token) => {
                    let seat = self.seat.clone();
                    let reply = self.hub.reply(Command::Renew, move |answer| {
                        seat.post(match answer {
                            Ok(renewed) => Event::Renewed(renewed),
                            Err(_) => Event::Failed(Verb::Renew),
                        });
                    });
                    let engine = self.hub.engine();
                    engine.renew(&self.flight, token, self.settings.lease, reply);
                }
                Action::Close(token) => {
                    let reply = self.ending(token, Verb::Close, Event::Closed);
                    self.hub.engine().close(&self.flight, token, reply);
                }
                Action::Land(token, leaves) => {
                    let bytes = match leaves {
                        Leaves::Result => match value() {
                            Some(Encoded::Bytes(bytes))
                                if bytes.len() <= self.settings.max_value =>
                            {
                                Some(bytes)
                            }
                            Some(Encoded::Kept) | None => None,
                            Some(Encoded::Bytes(_) | Encoded::Unencodable) => {
                                self.count(Outcome::Unshareable);
                                None
                            }
                        },
                        Leaves::Nothing => None,
                        Leaves::Vacancy => Some(Vec::new()),
                    };
                    let bytes = bytes.unwrap_or_else(|| vec![codec::NOTHING]);
                    let reply = self.ending(token, Verb::Land, |()| Event::Landed);
                    let keep = self.settings.keep;
                    self.hub
                        .engine()
                        .land(&self.flight, token, bytes, keep, reply);
                }
                Action::Arm(timer) => self.arm(timer),
                Action::Disarm(timer) => self.deadlines[timer as usize] = None,
                Action::Listen(token) => {
                    self.followed = true;
                    if let Some(around) = &self.around {
                        around.began_before(self.seat.0.lock().age);
                    }
                    self.listen(token);
                }
                Action::Supersede => {
                    if let Some(around) = &self.around {
                        around.close();
                    }
                }
                Action::Leads => self.count(Outcome::Led {
                    taken_over: self.followed,
                }),
                Action::Alone(why) => self.count(Outcome::Alone(why)),
                Action::Take => {
                    let value = self.seat.0.lock().value.take();
                    step = Some(match value {
                        // What was kept for `keep` and was on its way for as long again is too old.
                        Some((bytes, asked)) if asked.elapsed() <= self.settings.keep => {
                            Step::Take(bytes)
                        }
                        _ => Step::Take(Vec::new()),
                    });
                }
                Action::Return => step = Some(Step::Return),
            }
        }
        step
    }

    fn count(&self, outcome: Outcome) {
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
                let left = self.seat.0.lock().lease_left;
                // A millisecond later, it is over in the store, too.
                LOOK_EVERY.min(left + Duration::from_millis(1))
            }
        };
        self.deadlines[timer as usize] = Instant::now().checked_add(time);
    }

    fn listen(&mut self, token: Token) {
        let [last, _] = &mut self.listens;
        let old = last.replace(token);
        if let Some(old) = old {
            self.hub.unlisten(old, &self.seat);
        }
        self.hub.listen(token, &self.seat);
    }

    fn join(&mut self, token: Token) {
        // Its own execution: it may be told that new calls don't join it.
        let [_, own] = &mut self.listens;
        if let Some(old) = own.replace(token) {
            self.hub.unlisten(old, &self.seat);
        }
        self.hub.listen(token, &self.seat);
        let (seat, hub, flight) = (self.seat.clone(), self.hub.clone(), self.flight.clone());
        let reply = self.hub.reply(Command::Join, move |answer| {
            let granted = match answer {
                Ok(Joined::Leads) => Granted::Leads,
                Ok(Joined::Follows {
                    token: flight,
                    lease_left,
                    age,
                }) => {
                    hub.in_time();
                    let event = Event::Joined(token, Granted::Follows(flight));
                    seat.post_with(event, |news| {
                        news.lease_left = lease_left;
                        news.age = age;
                    });
                    return;
                }
                Ok(Joined::Mine) => Granted::Mine,
                Err(_) => {
                    hub.unsure(&flight, token);
                    seat.post(Event::Failed(Verb::Join));
                    return;
                }
            };
            hub.in_time();
            seat.post(Event::Joined(token, granted));
        });
        let terms = Terms {
            lease: self.settings.lease,
            max_age: self.settings.max_age.min(self.settings.patience),
        };
        self.hub.engine().join(&self.flight, token, terms, reply);
    }

    fn look(&mut self, token: Token) {
        let (seat, hub) = (self.seat.clone(), self.hub.clone());
        let asked = Instant::now();
        let reply = self
            .hub
            .reply(Command::Look, move |answer: Result<Looked, _>| {
                let Ok(looked) = answer else {
                    seat.post(Event::Failed(Verb::Look));
                    return;
                };
                hub.in_time();
                let event = Event::Looked(token, Look::of(&looked));
                seat.post_with(event, |news| match looked {
                    Looked::Landed(bytes) => news.value = Some((bytes, asked)),
                    Looked::Up { lease_left, .. } => news.lease_left = lease_left,
                    Looked::Large | Looked::Gone => {}
                });
            });
        let max = self.settings.max_value;
        self.hub.engine().look(&self.flight, token, max, reply);
    }

    /// The reply to what ends an execution. Without an answer, the execution may still be up.
    fn ending<T: 'static>(
        &self,
        token: Token,
        verb: Verb,
        event: impl FnOnce(T) -> Event + Send + 'static,
    ) -> Reply<T> {
        let command = match verb {
            Verb::Close => Command::Close,
            _ => Command::Land,
        };
        let (seat, hub, flight) = (self.seat.clone(), self.hub.clone(), self.flight.clone());
        self.hub.reply(command, move |answer| match answer {
            Ok(answer) => {
                hub.in_time();
                seat.post(event(answer));
            }
            Err(_) => {
                hub.unsure(&flight, token);
                seat.post(Event::Failed(verb));
            }
        })
    }
}

impl Drop for Ride {
    fn drop(&mut self) {
        self.alarm = None;
        for token in self.listens.into_iter().flatten() {
            self.hub.unlisten(token, &self.seat);
        }
        loop {
            let mut news = self.seat.0.lock();
            if let Some(event) = news.events.pop_front() {
                drop(news);
                self.on(event);
                continue;
            }
            // Under the lock: an answer that comes now finds what is left.
            self.machine
                .on(Event::Dropped, &mut Token::random, &mut self.actions);
            let left = if self.machine.is_abandoned() {
                Left::Abandoned(self.machine.clone(), self.flight.clone(), self.hub.clone())
            } else {
                Left::Over
            };
            news.left = Some(left);
            let (waker, value) = (news.waker.take(), news.value.take());
            drop(news);
            drop(value);
            crate::wake::discard(waker);
            break;
        }
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Land(token, leaves) => {
                    let bytes = match leaves {
                        Leaves::Vacancy => Vec::new(),
                        Leaves::Nothing | Leaves::Result => vec![codec::NOTHING],
                    };
                    let reply = self.ending(token, Verb::Land, |()| Event::Landed);
                    let keep = self.settings.keep;
                    self.hub
                        .engine()
                        .land(&self.flight, token, bytes, keep, reply);
                }
                // The call went before it was sent.
                Action::Close(token) => self.hub.give_up(&self.flight, token),
                _ => {}
            }
        }
    }
}

pin_project! {
    /// A call that one process runs for the whole fleet.
    pub struct Across<F, P>
    where
        F: Future,
    {
        // Before the ride: the body is gone when another process takes over.
        #[pin]
        body: Body<F>,
        output: Option<F::Output>,
        payload: P,
        ride: Option<Ride>,
        start: Option<Start>,
    }
}

pin_project! {
    #[project = BodyProj]
    enum Body<F> {
        Pending { #[pin] future: F },
        Done,
    }
}

/// What a call needs when it is polled for the first time.
pub(crate) struct Start {
    pub(crate) hub: Arc<Hub>,
    pub(crate) settings: Settings,
    pub(crate) around: Option<Box<dyn Around>>,
    /// The name of its flight: made by then, since a call that never runs its body needs none.
    pub(crate) flight: Box<dyn FnOnce() -> Result<Flight, Unnamed> + Send + Sync>,
}

/// Why a flight has no name.
pub(crate) enum Unnamed {
    /// The executable's hash is not known, or not yet.
    Build,
    /// The key can't be encoded, or is too long.
    Key,
}

fn count(hub: &Hub, around: Option<&dyn Around>, outcome: Outcome) {
    hub.counters.count(outcome);
    if let Some(around) = around {
        around.count(outcome);
    }
}

impl Start {
    fn ride(self) -> Option<Ride> {
        let Self {
            hub,
            settings,
            around,
            flight,
        } = self;
        if let Some(around) = &around {
            around.sees(hub.is_up());
        }
        let outcome = match hub.takes_part() {
            Ok(()) => match flight() {
                Ok(flight) => return Some(Ride::new(hub, flight, settings, around)),
                Err(Unnamed::Build) => Outcome::Alone(Why::Silent),
                Err(Unnamed::Key) => Outcome::Unshareable,
            },
            Err(why) => Outcome::Alone(why),
        };
        count(&hub, around.as_deref(), outcome);
        None
    }
}

impl<F: Future, P> Across<F, P> {
    /// Without a `start`, it is the body.
    pub(crate) fn new(body: F, payload: P, start: Option<Start>) -> Self {
        Self {
            body: Body::Pending { future: body },
            output: None,
            payload,
            ride: None,
            start,
        }
    }
}

impl<F: Future, P: Payload<Output = F::Output>> Future for Across<F, P> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(start) = this.start.take() {
            *this.ride = start.ride();
        }
        let Some(ride) = this.ride else {
            return match this.body.project() {
                BodyProj::Pending { future } => future.poll(cx),
                BodyProj::Done => panic!("polled after it has returned"),
            };
        };
        loop {
            let (output, payload) = (&*this.output, &*this.payload);
            let mut value = || output.as_ref().map(|output| payload.encode(output));
            match ride.turn(cx, &mut value) {
                Step::Take(bytes) => match payload.decode(&bytes) {
                    Some(output) => {
                        ride.count(Outcome::Followed);
                        this.body.set(Body::Done);
                        *this.ride = None;
                        return Poll::Ready(output);
                    }
                    None => ride.on(Event::Unreadable),
                },
                Step::Return => {
                    *this.ride = None;
                    let output = this.output.take();
                    return Poll::Ready(output.expect("the body has a result"));
                }
                Step::Wait { runs_body: false } => return Poll::Pending,
                Step::Wait { runs_body: true } => {
                    let BodyProj::Pending { future } = this.body.as_mut().project() else {
                        panic!("polled after it has returned");
                    };
                    match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                        Ok(Poll::Pending) => return Poll::Pending,
                        Ok(Poll::Ready(output)) => {
                            *this.output = Some(output);
                            this.body.set(Body::Done);
                            ride.on(Event::Finished);
                        }
                        Err(payload) => {
                            ride.on(Event::Panicked);
                            *this.ride = None;
                            resume_unwind(payload);
                        }
                    }
                }
            }
        }
    }
}

impl<F: Future, P> fmt::Debug for Across<F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Across")
    }
}
