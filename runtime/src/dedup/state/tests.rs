//! One flight's states, played by hand and at random against a model that knows only the promises.

use std::collections::BTreeSet;

use super::*;

/// Wakers are numbers here: each is stored once, and given back once.
type W = u32;

fn follows(state: &mut State<W>, slot: Option<Slot>, waker: W) -> Followed<W> {
    let mut offered = Some(waker);
    state
        .follow(slot, |old| *old == waker, &mut offered)
        .expect("a waker was offered")
}

#[test]
fn the_first_follower_polled_leads_and_only_that_one() {
    let mut state = State::led(Some(0));
    assert_eq!(follows(&mut state, None, 1), Followed::Waits(0, None));
    assert_eq!(follows(&mut state, None, 2), Followed::Waits(1, None));
    let vacated = state.vacate(0).unwrap();
    assert_eq!((vacated.leader, vacated.followers), (Some(0), vec![1, 2]));
    assert_eq!(follows(&mut state, Some(1), 2), Followed::Leads(1));
    assert_eq!(follows(&mut state, Some(0), 1), Followed::Waits(0, None));
    assert!(state.is_led_by(1));
}

#[test]
fn a_leader_of_another_turn_changes_nothing() {
    let mut state = State::led(Some(0));
    follows(&mut state, None, 1);
    state.vacate(0).unwrap();
    for _ in 0..2 {
        assert_eq!(state.vacate(0), Err(Deposed));
        assert!(state.land(0).is_err());
        assert_eq!(state.rest(0, |_| false, &mut Some(9)), Err(Deposed));
        follows(&mut state, Some(0), 1);
    }
    assert!(state.is_led_by(1));
    assert!(state.land(1).is_ok());
}

#[test]
fn a_spawned_flight_that_loses_its_task_is_led_by_no_caller() {
    let mut state = State::led(None);
    state.spawned = true;
    // Between this look and the next the task's runtime dies.
    assert_eq!(state.relaunch(true), Relaunch::No);
    state.vacate(0).unwrap();
    assert_eq!(follows(&mut state, None, 1), Followed::Vacant);
    assert_eq!(state.relaunch(true), Relaunch::Start(1));
    assert_eq!(follows(&mut state, None, 1), Followed::Waits(0, None));
}

#[test]
fn a_leader_is_prodded_then_deposed_and_a_sign_of_life_counts_anew() {
    let mut state = State::led(Some(7));
    // Without followers nobody is looked for.
    for _ in 0..10 {
        assert_eq!(state.tick(|| false), Tick::Nothing);
    }
    follows(&mut state, None, 1);
    for _ in 0..3 {
        assert_eq!(state.tick(|| false), Tick::Nothing);
        assert_eq!(state.tick(|| false), Tick::Prod(7));
        assert_eq!(state.tick(|| false), Tick::Nothing);
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
    assert_eq!(state.tick(|| true), Tick::Nothing);
    for _ in 0..3 {
        assert_eq!(state.tick(|| false), Tick::Nothing);
    }
    let deposed = Tick::Deposed {
        followers: vec![1],
        leader: None,
    };
    assert_eq!(state.tick(|| false), deposed);
    assert_eq!(state.tick(|| false), Tick::Nothing);
}

#[test]
fn a_place_that_is_left_is_taken_again() {
    let mut state = State::led(None);
    for round in 0..100 {
        let Followed::Waits(slot, None) = follows(&mut state, None, round) else {
            panic!("it is led")
        };
        assert_eq!(state.leave(Some(slot)), Some(round));
    }
    assert_eq!(state.followers.len(), 1);
}

#[test]
fn a_waker_that_does_is_not_asked_for_again() {
    let mut state = State::led(None);
    assert_eq!(state.follow(None, |_| true, &mut None), None);
    follows(&mut state, None, 1);
    let waits = Some(Followed::Waits(0, None));
    assert_eq!(state.follow(Some(0), |_| true, &mut None), waits);
    assert_eq!(state.follow(Some(0), |_| false, &mut None), None);
    assert_eq!(follows(&mut state, Some(0), 2), Followed::Waits(0, Some(1)));
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
    Follows {
        slot: Option<Slot>,
        unwoken: Option<W>,
        has_body: bool,
    },
    /// Runs the body, or did until it was deposed.
    Runs(Turn),
    Gone,
}

/// A flight and all who have to do with it, as the map and the calls behave.
struct World {
    random: Random,
    state: State<W>,
    joined: u32,
    callers: Vec<Caller>,
    /// Tasks of a spawned flight.
    tasks: Vec<Turn>,
    leader: Option<Turn>,
    /// The last leader has gone for good.
    lost: bool,
    last_turn: Turn,
    landed: bool,
    closed: bool,
    idle: u8,
    leaders_waker: Option<W>,
    next_waker: W,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: Random(seed),
            state: State::led(None),
            joined: 0,
            callers: vec![Caller::Runs(0)],
            tasks: Vec::new(),
            leader: Some(0),
            lost: false,
            last_turn: 0,
            landed: false,
            closed: false,
            idle: 0,
            leaders_waker: None,
            next_waker: 0,
        };
        if seed % 2 == 1 {
            // The opener follows its own task.
            world.state.spawned = true;
            world.joined = 1;
            world.tasks = vec![0];
            world.callers = vec![Caller::Follows {
                slot: None,
                unwoken: None,
                has_body: false,
            }];
        }
        world
    }

    fn spawned(&self) -> bool {
        self.state.spawned
    }

    fn waker(&mut self) -> W {
        self.next_waker += 1;
        self.next_waker
    }

    /// Those that wait for a wake-up.
    fn asleep(&self) -> BTreeSet<W> {
        let unwoken = self.callers.iter().filter_map(|caller| match caller {
            Caller::Follows { unwoken, .. } => *unwoken,
            _ => None,
        });
        unwoken.collect()
    }

    /// All that sleep were given back, each once.
    fn all_woken(&mut self, wakers: Vec<W>) {
        let given: BTreeSet<W> = wakers.iter().copied().collect();
        assert_eq!(given.len(), wakers.len(), "a waker was given twice");
        assert_eq!(given, self.asleep(), "somebody is not woken");
        for caller in &mut self.callers {
            if let Caller::Follows { unwoken, .. } = caller {
                *unwoken = None;
            }
        }
    }

    fn waiting(&self) -> usize {
        let waits = |caller: &&Caller| matches!(caller, Caller::Follows { .. });
        self.callers.iter().filter(waits).count()
    }

    /// As the map does, under its lock.
    fn close_if_abandoned(&mut self) {
        if !self.closed && self.state.may_be_abandoned() && self.state.waiting(self.joined) == 0 {
            self.closed = true;
            self.leader = None;
            assert_eq!(self.state.close(), self.leaders_waker.take());
        }
    }

    fn event(&mut self) {
        match self.random.below(12) {
            0 | 1 => self.join(),
            2..=6 => self.poll(),
            7 => self.leave(),
            8 => self.land(),
            _ => self.tick(),
        }
        self.check();
    }

    fn join(&mut self) {
        if self.landed || self.closed || self.callers.len() > 30 {
            return;
        }
        self.joined += 1;
        self.callers.push(Caller::Follows {
            slot: None,
            unwoken: None,
            has_body: true,
        });
    }

    fn poll(&mut self) {
        if !self.tasks.is_empty() && self.random.below(3) == 0 {
            let at = self.random.below(self.tasks.len());
            return self.poll_task(at);
        }
        let at = self.random.below(self.callers.len());
        match self.callers[at] {
            Caller::Follows {
                slot,
                unwoken,
                has_body,
            } => self.poll_follower(at, slot, unwoken, has_body),
            Caller::Runs(turn) => {
                self.rest(turn);
            }
            Caller::Gone => {}
        }
    }

    fn poll_follower(
        &mut self,
        at: usize,
        slot: Option<Slot>,
        unwoken: Option<W>,
        mut has_body: bool,
    ) {
        let vacant = self.leader.is_none() && !self.landed && !self.closed;
        if self.spawned() {
            match self.state.relaunch(has_body) {
                Relaunch::No if vacant => {
                    assert!(!has_body && !self.lost);
                    self.leader = Some(self.last_turn);
                }
                Relaunch::No => assert!(!vacant),
                Relaunch::Start(turn) => {
                    assert!(vacant && has_body);
                    self.claimed(turn);
                    self.tasks.push(turn);
                    has_body = false;
                }
                Relaunch::Lost => {
                    assert!(vacant && !has_body && self.lost);
                    return self.follower_leaves(at);
                }
            }
            self.idle = if vacant { 0 } else { self.idle };
        }
        let waker = match unwoken {
            Some(same) if self.random.below(2) == 0 => same,
            _ => self.waker(),
        };
        match follows(&mut self.state, slot, waker) {
            Followed::Waits(place, replaced) => {
                assert!(self.leader.is_some());
                assert!(slot.is_none_or(|slot| slot == place));
                assert_eq!(replaced, unwoken.filter(|old| *old != waker));
                self.callers[at] = Caller::Follows {
                    slot: Some(place),
                    unwoken: Some(waker),
                    has_body,
                };
            }
            Followed::Leads(turn) => {
                assert!(vacant && !self.spawned());
                self.claimed(turn);
                self.callers[at] = Caller::Runs(turn);
            }
            Followed::Vacant => unreachable!("it was relaunched before"),
            Followed::Landed => {
                assert!(self.landed);
                self.callers[at] = Caller::Gone;
            }
        }
    }

    /// A claim: once for each vacancy.
    fn claimed(&mut self, turn: Turn) {
        assert_eq!(self.leader, None, "two leaders");
        assert_eq!(turn, self.last_turn + 1);
        self.last_turn = turn;
        self.leader = Some(turn);
        self.leaders_waker = None;
        self.idle = 0;
    }

    fn poll_task(&mut self, at: usize) {
        let turn = self.tasks[at];
        let leads = self.leader == Some(turn);
        assert_eq!(self.state.retires(turn), !leads);
        if leads {
            assert!(self.rest(turn));
        } else {
            self.lost |= self.last_turn == turn;
            self.tasks.swap_remove(at);
        }
    }

    /// Returns whether it leads.
    fn rest(&mut self, turn: Turn) -> bool {
        let waker = match self.leaders_waker {
            Some(same) if self.random.below(2) == 0 => same,
            _ => self.waker(),
        };
        let rest = self.state.rest(turn, |old| *old == waker, &mut Some(waker));
        if self.leader != Some(turn) {
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
            let turn = self.tasks.swap_remove(at);
            return self.leader_leaves(turn);
        }
        let at = self.random.below(self.callers.len());
        match self.callers[at] {
            Caller::Follows { .. } => self.follower_leaves(at),
            Caller::Runs(turn) => {
                self.callers[at] = Caller::Gone;
                self.leader_leaves(turn);
            }
            Caller::Gone => {}
        }
    }

    fn follower_leaves(&mut self, at: usize) {
        let Caller::Follows { slot, unwoken, .. } = self.callers[at] else {
            unreachable!()
        };
        self.callers[at] = Caller::Gone;
        assert_eq!(self.state.leave(slot), unwoken);
        if !self.landed {
            self.close_if_abandoned();
        }
    }

    fn leader_leaves(&mut self, turn: Turn) {
        if self.leader != Some(turn) {
            assert_eq!(self.state.vacate(turn), Err(Deposed));
            return;
        }
        let vacated = self.state.vacate(turn).unwrap();
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
        let turn = if self.spawned() {
            if self.tasks.is_empty() {
                return;
            }
            let at = self.random.below(self.tasks.len());
            self.tasks.swap_remove(at)
        } else {
            let at = self.random.below(self.callers.len());
            let Caller::Runs(turn) = self.callers[at] else {
                return;
            };
            self.callers[at] = Caller::Gone;
            turn
        };
        match self.state.land(turn) {
            Ok(landed) => {
                assert_eq!(self.leader, Some(turn), "a deposed leader landed");
                assert!(!self.landed, "landed twice");
                self.landed = true;
                self.leader = None;
                assert_eq!(landed.leader, self.leaders_waker.take());
                self.all_woken(landed.followers.into_iter().collect());
            }
            Err(Deposed) => assert_ne!(self.leader, Some(turn)),
        }
        if self.spawned() && !self.landed {
            // What has not landed was not the leader, or it would have.
            self.lost |= self.leader.is_none() && self.last_turn == turn && !self.closed;
            let _ = self.state.retires(turn);
        }
    }

    fn tick(&mut self) {
        let polled = self.random.below(3) == 0;
        let seated = self.callers.iter().any(|caller| {
            let Caller::Follows { slot, .. } = caller else {
                return false;
            };
            slot.is_some()
        });
        let watched = self.leader.is_some() && seated;
        let tick = self.state.tick(|| polled);
        if !watched {
            assert_eq!(tick, Tick::Nothing);
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

    fn check(&self) {
        let state = &self.state;
        let over = self.landed || self.closed;
        let phase = match (over, self.leader) {
            (true, _) => Phase::Landed,
            (false, Some(_)) => Phase::Led,
            (false, None) => Phase::Vacant,
        };
        assert_eq!(state.phase, phase);
        if let Some(leader) = self.leader {
            assert!(state.is_led_by(leader));
        }
        if self.landed {
            assert!(state.followers.is_empty() && self.asleep().is_empty());
            return;
        }
        assert_eq!(state.waiting(self.joined) as usize, self.waiting());
        if self.leader.is_none() {
            assert!(self.asleep().is_empty(), "asleep without a leader");
        }
        // Who has a place is in it, with its waker unless that one was woken.
        let mut taken = BTreeSet::new();
        for caller in &self.callers {
            let Caller::Follows {
                slot: Some(slot),
                unwoken,
                ..
            } = caller
            else {
                continue;
            };
            assert!(taken.insert(*slot), "two in a place");
            match (&state.followers[*slot as usize], unwoken) {
                (Place::Waiting(waker), Some(unwoken)) => assert_eq!(waker, unwoken),
                (Place::Woken, None) => {}
                (place, _) => panic!("{place:?} for {caller:?}"),
            }
        }
        assert_eq!(state.seated as usize, taken.len());
        // All other places are on the free list, once.
        let mut next = state.free;
        while let Some(slot) = next {
            assert!(taken.insert(slot), "a free place twice, or taken");
            match state.followers[slot as usize] {
                Place::Free(after) => next = after,
                ref place => panic!("{place:?} on the free list"),
            }
        }
        assert_eq!(taken.len(), state.followers.len());
    }
}

#[test]
fn whatever_happens_in_whatever_order_the_promises_hold() {
    let (mut landed, mut closed, mut claims) = (0, 0, 0);
    for seed in 0..4_000 {
        let mut world = World::new(seed);
        for _ in 0..120 {
            world.event();
        }
        landed += u32::from(world.landed);
        closed += u32::from(world.closed);
        claims += world.last_turn;
    }
    // It was a test of something.
    assert!(
        landed > 100 && closed > 100 && claims > 1_000,
        "{landed} {closed} {claims}"
    );
}
