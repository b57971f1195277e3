//! One call in the fleet, as a future around the body: the [`machine`](super::machine) with its clock, its commands, and the
//! value.
//!
//! [`ride`] is all of it but the body and its value, and [`commands`] is what it sends to the store. Answers and wake-ups are
//! posted into the call's [`mailbox`](super::mailbox), and the task is woken. Only the task moves the machine.

mod commands;
mod ride;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

pub(crate) use self::ride::{Around, Settings};
use self::ride::{Ride, Step, count};
use super::engine::Flight;
use super::hub::Hub;
use super::machine::{Event, Why};
use super::payload::Payload;
use super::stats::Outcome;

pin_project! {
    /// A call that one process runs for the whole fleet.
    pub struct Across<F: Future, P> {
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
