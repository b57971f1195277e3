//! One flight's states, played by hand and at random against a model that knows only the promises.

use std::collections::BTreeSet;
use std::mem;

use super::*;
use crate::dedup::Joining;

/// Wakers are numbers here: each is stored once, and given back once.
type W = u32;

fn follows(state: &mut State<W>, slot: Option<Slot>, body: Body, waker: W) -> Followed<W> {
    let mut offered = Some(waker);
    state
        .follow(slot, body, |old| *old == waker, &mut offered)
        .expect("a waker was offered")
}

/// A follower joins, and waits with this waker.
fn joins(state: &mut State<W>, waker: W) -> Slot {
    state.join();
    match follows(state, None, Body::Mine, waker) {
        Followed::Waits(slot, None) => slot,
        followed => panic!("it is led: {followed:?}"),
    }
}

#[test]
fn the_first_follower_polled_leads_and_only_that_one() {
    let mut state = State::led(Some(0));
    let slots = [1, 2].map(|waker| joins(&mut state, waker));
    let vacated = state.vacate(0).unwrap();
    assert_eq!(
        (vacated.leader, vacated.followers.into_vec()),
        (Some(0), vec![1, 2])
    );
    let claims = follows(&mut state, Some(slots[1]), Body::Mine, 2);
    assert_eq!(claims, Followed::Leads(1));
    let waits = follows(&mut state, Some(slots[0]), Body::Mine, 1);
    assert!(matches!(waits, Followed::Waits(_, None)), "{waits:?}");
    assert!(state.leads(1) && state.waiting() == 1);
}

#[test]
fn a_leader_of_another_term_changes_nothing() {
    let mut state = State::led(Some(0));
    joins(&mut state, 1);
    state.vacate(0).unwrap();
    for _ in 0..2 {
        assert!(state.vacate(0).is_err());
        assert!(!state.leads(0));
        assert_eq!(state.rest(0, |_| false, &mut Some(9)), Err(Deposed));
        follows(&mut state, None, Body::Mine, 1);
    }
    assert!(state.leads(1));
}

#[test]
fn a_spawned_flight_that_loses_its_task_gets_another() {
    let mut state = State::led(None);
    state.give_to_task();
    let Followed::Waits(opener, None) = follows(&mut state, None, Body::Given, 0) else {
        panic!("it is led");
    };
    let opener = Some(opener);
    let other = joins(&mut state, 1);
    assert_eq!((state.waiting(), state.followers()), (2, 1));
    assert_eq!(state.vacate(0).unwrap().followers.into_vec(), [0, 1]);
    // Without a body it waits for one that has it.
    let waits = follows(&mut state, opener, Body::Given, 0);
    assert!(matches!(waits, Followed::Waits(_, None)), "{waits:?}");
    let starts = follows(&mut state, Some(other), Body::ForTask, 1);
    assert_eq!((starts, state.followers()), (Followed::Leads(1), 0));
    let Followed::Waits(other, None) = follows(&mut state, Some(other), Body::Given, 1) else {
        panic!("it is led");
    };
    // Now no caller has a body.
    assert_eq!(state.vacate(1).unwrap().followers.into_vec(), [0, 1]);
    assert_eq!(follows(&mut state, opener, Body::Given, 0), Followed::Lost);
    assert_eq!(
        follows(&mut state, Some(other), Body::Given, 0),
        Followed::Lost
    );
}

#[test]
fn the_last_that_has_a_body_tells_the_others_when_it_goes() {
    let mut state = State::led(None);
    state.give_to_task();
    let others = [1, 2].map(|waker| joins(&mut state, waker));
    state.vacate(0).unwrap();
    let Followed::Waits(..) = follows(&mut state, None, Body::Given, 0) else {
        panic!("others have a body");
    };
    state.leave(Some(others[0]), false);
    assert!(!state.is_lost());
    state.leave(Some(others[1]), false);
    assert!(state.is_lost());
    assert_eq!(state.all_lost().into_vec(), [0]);
}

#[test]
fn a_leader_is_prodded_then_deposed_and_a_sign_of_life_counts_anew() {
    let mut state = State::led(Some(7));
    // Without followers, the watch does not look for a leader.
    for _ in 0..10 {
        assert!(matches!(state.tick(|| false), Tick::Nothing));
    }
    joins(&mut state, 1);
    for _ in 0..3 {
        assert!(matches!(state.tick(|| false), Tick::Nothing));
        assert!(matches!(state.tick(|| false), Tick::Prod(7)));
        assert!(matches!(state.tick(|| false), Tick::Nothing));
        assert_eq!(
            state.rest(0, |_| false, &mut None),
            Ok(Rest::NeedsWaker),
            "its waker was taken"
        );
        assert_eq!(state.rest(0, |_| false, &mut Some(7)), Ok(Rest::Done(None)));
    }
    for _ in 0..3 {
        assert!(!matches!(state.tick(|| false), Tick::Deposed { .. }));
    }
    // Polled at this moment: it works.
    assert!(matches!(state.tick(|| true), Tick::Nothing));
    for _ in 0..3 {
        assert!(matches!(state.tick(|| false), Tick::Nothing));
    }
    let Tick::Deposed { followers, leader } = state.tick(|| false) else {
        panic!("it was not polled for four ticks");
    };
    assert_eq!((followers.into_vec(), leader), (vec![1], None));
    assert!(matches!(state.tick(|| false), Tick::Nothing));
}

#[test]
fn an_execution_that_others_wait_for_for_long_is_told_once() {
    let mut state = State::led(Some(7));
    joins(&mut state, 1);
    let mut told = Vec::new();
    for tick in 1..=1_000 {
        match state.tick(|| false) {
            Tick::Long => told.push(tick),
            Tick::Prod(_) => assert!(state.rest(0, |_| false, &mut Some(7)).is_ok()),
            Tick::Nothing => {}
            Tick::Deposed { .. } => panic!("it answers each time"),
        }
    }
    // A tick in which it is woken does not count.
    assert_eq!(told.len(), 1);
    assert!((200..=400).contains(&told[0]), "{told:?}");
}

#[test]
fn a_place_that_is_left_is_taken_again() {
    let mut state = State::led(None);
    for waker in 0..100 {
        let slot = joins(&mut state, waker);
        assert_eq!(state.leave(Some(slot), false), Some(waker));
    }
    assert_eq!(state.places.len(), 1);
}

#[test]
fn a_waker_that_does_is_not_asked_for_again() {
    let mut state = State::led(None);
    state.join();
    assert_eq!(state.follow(None, Body::Mine, |_| true, &mut None), None);
    let Followed::Waits(slot, None) = follows(&mut state, None, Body::Mine, 1) else {
        panic!("it is led");
    };
    let waits = Followed::Waits(slot, None);
    let at = Some(slot);
    let again = state.follow(at, Body::Mine, |_| true, &mut None);
    assert_eq!(again, Some(waits));
    assert_eq!(state.follow(at, Body::Mine, |_| false, &mut None), None);
    let replaced = follows(&mut state, at, Body::Mine, 2);
    assert_eq!(replaced, Followed::Waits(slot, Some(1)));
}

/// A generator of the kind that is called a linear congruential one.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

#[derive(Debug, Clone, Copy)]
enum Caller {
    /// Waits: in its place with the waker that it left there last, unless that one was woken since.
    Waits {
        slot: Option<Slot>,
        unwoken: Option<W>,
        body: Body,
    },
    /// Runs the body, or did until it was deposed.
    Runs(Term),
    Gone,
}

/// A flight and all who have to do with it, as the map and the calls behave.
struct World {
    random: Random,
    /// `None`: it has landed, or was abandoned.
    state: Option<State<W>>,
    /// Its callers give their bodies to tasks.
    spawned: bool,
    callers: Vec<Caller>,
    /// Tasks of a spawned flight.
    tasks: Vec<Term>,
    leader: Option<Term>,
    /// The last leader has gone for good.
    lost: bool,
    last_term: Term,
    landed: bool,
    idle: u8,
    leaders_waker: Option<W>,
    next_waker: W,
    /// The number of followers at which a further call is refused.
    joining: Joining,
    most: u32,
    refused: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let most = 1 + (seed % 7) as u32;
        let mut world = Self {
            joining: Joining::new().max_followers(most as usize).or_busy(),
            most,
            refused: 0,
            random: Random(seed),
            state: Some(State::led(None)),
            spawned: seed % 2 == 1,
            callers: vec![Caller::Runs(0)],
            tasks: Vec::new(),
            leader: Some(0),
            lost: false,
            last_term: 0,
            landed: false,
            idle: 0,
            leaders_waker: None,
            next_waker: 0,
        };
        if world.spawned {
            // The opener waits for its own task.
            world.state().give_to_task();
            world.tasks = vec![0];
            world.callers = vec![Caller::Waits {
                slot: None,
                unwoken: None,
                body: Body::Given,
            }];
        }
        world
    }

    fn state(&mut self) -> &mut State<W> {
        self.state.as_mut().expect("it is up")
    }

    fn is_vacant(&self) -> bool {
        self.state.is_some() && self.leader.is_none()
    }

    fn waker(&mut self) -> W {
        self.next_waker += 1;
        self.next_waker
    }

    /// Those that wait for a wake-up.
    fn asleep(&self) -> BTreeSet<W> {
        let unwoken = self.callers.iter().filter_map(|caller| match caller {
            Caller::Waits { unwoken, .. } => *unwoken,
            _ => None,
        });
        unwoken.collect()
    }

    /// All that sleep were given back, each once.
    fn all_woken(&mut self, wakers: Places<W>) {
        let wakers = wakers.into_vec();
        let given: BTreeSet<W> = wakers.iter().copied().collect();
        assert_eq!(given.len(), wakers.len(), "a waker was given twice");
        assert_eq!(given, self.asleep(), "somebody is not woken");
        for caller in &mut self.callers {
            if let Caller::Waits { unwoken, .. } = caller {
                *unwoken = None;
            }
        }
    }

    /// The number of callers that wait, and how many of these have a body.
    fn waiting(&self) -> (u32, u32) {
        let bodies = self.callers.iter().filter_map(|caller| match caller {
            Caller::Waits { body, .. } => Some(*body),
            _ => None,
        });
        let with = bodies.clone().filter(|body| *body != Body::Given);
        (bodies.count() as u32, with.count() as u32)
    }

    /// As the map does, under its lock.
    fn close_if_abandoned(&mut self) {
        let unwanted = self.waiting().0 == 0 && (self.spawned || self.leader.is_none());
        assert_eq!(self.state().is_abandoned(), unwanted);
        if unwanted {
            self.leader = None;
            let wakers = self.state.take().expect("it is up").into_wakers();
            assert_eq!(wakers.leader, self.leaders_waker.take());
            assert!(wakers.followers.into_vec().is_empty());
        }
    }

    fn event(&mut self) {
        match self.random.below(13) {
            12 => self.round(),
            0 | 1 => self.join(),
            2..=6 => self.poll(),
            7 => self.leave(),
            8 => self.land(),
            _ => self.tick(),
        }
        self.check();
    }

    fn join(&mut self) {
        if self.state.is_none() || self.callers.len() > 30 {
            return;
        }
        let (_, followers) = self.waiting();
        let joining = self.joining;
        let is_full = joining.is_full(|| self.state().followers());
        assert_eq!(
            is_full,
            followers == self.most,
            "those who left don't count"
        );
        if is_full {
            self.refused += 1;
            return;
        }
        self.state().join();
        let body = if self.spawned {
            Body::ForTask
        } else {
            Body::Mine
        };
        self.callers.push(Caller::Waits {
            slot: None,
            unwoken: None,
            body,
        });
    }

    fn poll(&mut self) {
        if !self.tasks.is_empty() && self.random.below(3) == 0 {
            let at = self.random.below(self.tasks.len());
            return self.poll_task(at);
        }
        let at = self.random.below(self.callers.len());
        match self.callers[at] {
            Caller::Waits { .. } if self.landed => self.callers[at] = Caller::Gone,
            Caller::Waits {
                slot,
                unwoken,
                body,
            } => self.poll_follower(at, slot, unwoken, body),
            Caller::Runs(term) => {
                self.rest(term);
            }
            Caller::Gone => {}
        }
    }

    fn poll_follower(&mut self, at: usize, slot: Option<Slot>, unwoken: Option<W>, body: Body) {
        let vacant = self.is_vacant();
        if vacant && body == Body::Given && !self.lost && self.waiting().1 == 0 {
            // Nobody else could: the stalled task leads again.
            self.leader = Some(self.last_term);
            self.idle = 0;
        }
        let waker = match unwoken {
            Some(same) if self.random.below(2) == 0 => same,
            _ => self.waker(),
        };
        match follows(self.state(), slot, body, waker) {
            Followed::Waits(place, replaced) => {
                assert!(self.leader.is_some() || body == Body::Given && self.waiting().1 > 0);
                assert!(unwoken.is_none() || slot == Some(place));
                assert_eq!(replaced, unwoken.filter(|old| *old != waker));
                self.callers[at] = Caller::Waits {
                    slot: Some(place),
                    unwoken: Some(waker),
                    body,
                };
            }
            Followed::Leads(term) => {
                assert!(vacant && self.leader.is_none(), "two leaders");
                assert_eq!(term, self.last_term + 1);
                self.last_term = term;
                self.leader = Some(term);
                self.idle = 0;
                self.callers[at] = match body {
                    Body::Mine => Caller::Runs(term),
                    Body::ForTask => {
                        self.tasks.push(term);
                        Caller::Waits {
                            slot,
                            unwoken,
                            body: Body::Given,
                        }
                    }
                    Body::Given => panic!("it has no body"),
                };
            }
            Followed::Lost => {
                assert!(vacant && self.lost && self.waiting().1 == 0);
                self.follower_leaves(at);
            }
            Followed::Landed => panic!("its entry is there"),
        }
    }

    /// Each caller that waits is polled once, in any order. If the flight was vacant and any of them had a body, a body leads.
    fn round(&mut self) {
        if self.state.is_none() {
            return;
        }
        let (vacant, (_, with_body)) = (self.is_vacant(), self.waiting());
        let mut order: Vec<usize> = (0..self.callers.len()).collect();
        while !order.is_empty() {
            let at = order.swap_remove(self.random.below(order.len()));
            if let Caller::Waits {
                slot,
                unwoken,
                body,
            } = self.callers[at]
            {
                self.poll_follower(at, slot, unwoken, body);
            }
        }
        if vacant && with_body > 0 {
            assert!(self.leader.is_some(), "nobody took over");
        }
    }

    /// A deposed leader that no follower has replaced leads again.
    fn resumes(&mut self, term: Term) {
        if self.is_vacant() && !self.lost && self.last_term == term {
            self.leader = Some(term);
            self.idle = 0;
        }
    }

    fn leads(&mut self, term: Term) -> bool {
        self.resumes(term);
        let leads = self.leader == Some(term);
        let says = self.state.as_mut().is_some_and(|state| state.leads(term));
        assert_eq!(says, leads);
        leads
    }

    fn poll_task(&mut self, at: usize) {
        let term = self.tasks[at];
        if self.leads(term) {
            assert!(self.rest(term));
        } else {
            self.tasks.swap_remove(at);
        }
    }

    /// Returns whether it leads.
    fn rest(&mut self, term: Term) -> bool {
        let waker = match self.leaders_waker {
            Some(same) if self.random.below(2) == 0 => same,
            _ => self.waker(),
        };
        self.resumes(term);
        let Some(state) = &mut self.state else {
            return false;
        };
        let rest = state.rest(term, |old| *old == waker, &mut Some(waker));
        if self.leader != Some(term) {
            assert_eq!(rest, Err(Deposed));
            return false;
        }
        let replaced = self.leaders_waker.replace(waker);
        let replaced = replaced.filter(|old| *old != waker);
        assert_eq!(rest, Ok(Rest::Done(replaced)));
        self.idle = 0;
        true
    }

    fn leave(&mut self) {
        if !self.tasks.is_empty() && self.random.below(3) == 0 {
            let at = self.random.below(self.tasks.len());
            let term = self.tasks.swap_remove(at);
            return self.leader_leaves(term);
        }
        let at = self.random.below(self.callers.len());
        match self.callers[at] {
            Caller::Waits { .. } => self.follower_leaves(at),
            Caller::Runs(term) => {
                self.callers[at] = Caller::Gone;
                self.leader_leaves(term);
            }
            Caller::Gone => {}
        }
    }

    fn follower_leaves(&mut self, at: usize) {
        let Caller::Waits {
            slot,
            unwoken,
            body,
        } = mem::replace(&mut self.callers[at], Caller::Gone)
        else {
            unreachable!()
        };
        let Some(state) = &mut self.state else {
            return;
        };
        assert_eq!(state.leave(slot, body == Body::Given), unwoken);
        let lost = state.is_lost().then(|| state.all_lost());
        let all_lost = self.is_vacant() && self.lost && self.waiting().1 == 0;
        assert_eq!(lost.is_some(), all_lost);
        if let Some(lost) = lost {
            self.all_woken(lost);
        }
        self.close_if_abandoned();
    }

    fn leader_leaves(&mut self, term: Term) {
        self.resumes(term);
        let Some(state) = &mut self.state else {
            return;
        };
        let vacated = state.vacate(term);
        if self.leader != Some(term) {
            assert!(vacated.is_err());
            return;
        }
        let vacated = vacated.unwrap();
        self.leader = None;
        self.lost = true;
        assert_eq!(vacated.leader, self.leaders_waker.take());
        self.all_woken(vacated.followers);
        self.close_if_abandoned();
    }

    fn land(&mut self) {
        // Seldom: else no flight gets old.
        if self.random.below(4) != 0 {
            return;
        }
        let term = if self.spawned {
            if self.tasks.is_empty() {
                return;
            }
            let at = self.random.below(self.tasks.len());
            self.tasks.swap_remove(at)
        } else {
            let at = self.random.below(self.callers.len());
            let Caller::Runs(term) = self.callers[at] else {
                return;
            };
            self.callers[at] = Caller::Gone;
            term
        };
        if self.leads(term) {
            self.landed = true;
            self.leader = None;
            let wakers = self.state.take().expect("it is up").into_wakers();
            assert_eq!(wakers.leader, self.leaders_waker.take());
            self.all_woken(wakers.followers);
        }
    }

    fn tick(&mut self) {
        let polled = self.random.below(3) == 0;
        let watched = self.leader.is_some() && self.waiting().0 > 0;
        let Some(state) = &mut self.state else {
            return;
        };
        let tick = state.tick(|| polled);
        if !watched {
            assert!(matches!(tick, Tick::Nothing));
            if self.leader.is_some() {
                self.idle = 0;
            }
            return;
        }
        self.idle += 1;
        match tick {
            Tick::Nothing => {
                assert!(self.idle < DEPOSE_AFTER || polled);
                assert!(self.idle != PROD_AFTER || self.leaders_waker.is_none());
                if self.idle >= DEPOSE_AFTER {
                    self.idle = 0;
                }
            }
            Tick::Long => {
                if self.idle >= DEPOSE_AFTER {
                    assert!(polled);
                    self.idle = 0;
                }
            }
            Tick::Prod(leader) => {
                assert_eq!(self.idle, PROD_AFTER);
                assert_eq!(Some(leader), self.leaders_waker.take());
            }
            Tick::Deposed { followers, leader } => {
                assert!(self.idle >= DEPOSE_AFTER && !polled);
                self.leader = None;
                self.lost = false;
                assert_eq!(leader, self.leaders_waker.take());
                self.all_woken(followers);
            }
        }
    }

    fn check(&mut self) {
        let ((waiting, with_body), vacant) = (self.waiting(), self.is_vacant());
        let Some(state) = &mut self.state else {
            assert!(!self.landed || self.asleep().is_empty());
            return;
        };
        assert_eq!(state.led, self.leader.is_some());
        assert_eq!((state.waiting(), state.followers()), (waiting, with_body));
        // The places hold exactly the callers whose wakers were not woken.
        let mut seated = 0;
        for caller in &self.callers {
            if let Caller::Waits {
                slot: Some(slot),
                unwoken: Some(unwoken),
                ..
            } = caller
            {
                seated += 1;
                assert_eq!(state.places.at(*slot), Some(&mut Some(*unwoken)));
            }
        }
        assert_eq!(state.places.clone().into_vec().len(), seated);
        if vacant && (with_body > 0 && seated > waiting as usize - with_body as usize) {
            panic!("one that could lead sleeps beside a vacant flight");
        }
    }
}

#[test]
fn whatever_happens_in_whatever_order_the_promises_hold() {
    let (mut landed, mut closed, mut claims, mut refused) = (0, 0, 0, 0);
    for seed in 0..4_000 {
        let mut world = World::new(seed);
        for _ in 0..120 {
            world.event();
        }
        landed += u32::from(world.landed);
        closed += u32::from(world.state.is_none() && !world.landed);
        claims += world.last_term;
        refused += world.refused;
    }
    // It was a test of something.
    assert!(
        landed > 100 && closed > 100 && claims > 1_000 && refused > 1_000,
        "{landed} {closed} {claims} {refused}"
    );
}
