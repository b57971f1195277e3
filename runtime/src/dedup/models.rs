//! Models of flights: see [`model`](crate::model).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use super::call::{Next, Role};
use super::spawned::{Execution, Lead};
use super::state::Body as Does;
use super::table::{Entered, Following};
use super::{Joining, Run, Table};
use crate::model::{Body, PANICS, Task, model, spawn};
use crate::observe::{Caller, Trace};
use crate::sharing::Cloned;
use crate::sync::Arc;
use crate::watch::Watched;

type Flying = Arc<Table<(), u32>>;
type Executed = Execution<Flying, (), u32, Body>;
type Opener = super::Call<Flying, (), u32, Cloned<u32>>;
type Called = Run<Flying, (), u32, Cloned<u32>, Body>;

#[derive(Clone)]
struct World {
    table: Flying,
    runs: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        let table = Table::new("model".into(), 1);
        table.watch().by_hand();
        Self {
            table: Arc::new(table),
            runs: Arc::default(),
        }
    }

    fn body(&self, pending: usize, value: u32) -> Body {
        Body {
            pending,
            value,
            started: false,
            runs: self.runs.clone(),
        }
    }

    /// A call that begins now. Its body is pending for `pending` polls.
    fn call(&self, pending: usize, value: u32) -> Called {
        let table = self.table.clone();
        Called::of(table, self.body(pending, value))
    }

    fn runs(&self) -> usize {
        self.runs.load(SeqCst)
    }

    /// Nothing is left, and the counts are right.
    fn is_at_rest(&self) {
        let counts = self.table.counts();
        assert_eq!((counts.up, counts.waiting), (0, 0), "entries, waiting");
        let executions = counts.opened + counts.alone + self.table.rare.executions.load(SeqCst);
        assert_eq!(executions, self.runs() as u64, "executions");
    }
}

impl Called {
    fn of(table: Flying, body: Body) -> Self {
        super::Call::enter(table, &(), Cloned::new(), Joining::new()).run(body)
    }

    fn follows(&self) -> bool {
        matches!(self.role(), Role::Follows { .. })
    }
}

#[test]
fn a_leader_finishes_with_two_followers() {
    model(|| {
        let world = World::new();
        let (task, mut leader) = (Task::new(), world.call(1, 1));
        assert!(task.poll(&mut leader).is_pending());
        let followers = [(); 2].map(|()| {
            let mut follower = world.call(0, 2);
            assert!(follower.follows());
            spawn(move || Task::new().finish(&mut follower))
        });
        assert_eq!(task.poll(&mut leader), Poll::Ready(1));
        for follower in followers {
            assert_eq!(follower.join().unwrap(), 1);
        }
        assert_eq!(world.runs(), 1);
        world.is_at_rest();
    });
}

#[test]
fn a_dropped_leader_is_followed_by_exactly_one() {
    model(|| {
        let world = World::new();
        let mut leader = world.call(1, 1);
        assert!(Task::new().poll(&mut leader).is_pending());
        let followers = [2, 3].map(|value| {
            let mut follower = world.call(0, value);
            spawn(move || Task::new().finish(&mut follower))
        });
        drop(leader);
        let [a, b] = followers.map(|follower| follower.join().unwrap());
        assert!(a == b && (a == 2 || a == 3), "{a}, {b}");
        assert_eq!(world.runs(), 2);
        world.is_at_rest();
    });
}

#[test]
fn a_claiming_follower_that_is_dropped_is_followed_in_turn() {
    model(|| {
        let world = World::new();
        let mut leader = world.call(1, 1);
        assert!(Task::new().poll(&mut leader).is_pending());
        let (mut first, mut second) = (world.call(1, 2), world.call(0, 3));
        let leaves = spawn(move || {
            // It claims, or waits, and goes in either case.
            let _ = Task::new().poll(&mut first);
            drop(first);
        });
        let stays = spawn(move || Task::new().finish(&mut second));
        drop(leader);
        leaves.join().unwrap();
        assert_eq!(stays.join().unwrap(), 3);
        world.is_at_rest();
    });
}

#[test]
fn a_dormant_follower_keeps_nobody_waiting() {
    model(|| {
        let world = World::new();
        let mut leader = world.call(1, 1);
        assert!(Task::new().poll(&mut leader).is_pending());
        let (asleep, mut dormant, mut awake) = (Task::new(), world.call(0, 2), world.call(0, 3));
        assert!(asleep.poll(&mut dormant).is_pending());
        let awake = spawn(move || Task::new().finish(&mut awake));
        drop(leader);
        assert_eq!(awake.join().unwrap(), 3);
        // It is polled at last.
        assert_eq!(asleep.poll(&mut dormant), Poll::Ready(3));
        world.is_at_rest();
    });
}

#[test]
fn joining_races_completion() {
    model(|| {
        let world = World::new();
        let (task, mut leader) = (Task::new(), world.call(1, 1));
        assert!(task.poll(&mut leader).is_pending());
        let joiners = [2, 3].map(|value| {
            let world = world.clone();
            spawn(move || {
                let mut joiner = world.call(0, value);
                let joined = joiner.follows();
                (value, joined, Task::new().finish(&mut joiner))
            })
        });
        assert_eq!(task.poll(&mut leader), Poll::Ready(1));
        for joiner in joiners {
            let (own, joined, got) = joiner.join().unwrap();
            assert!(if joined { got != own } else { got == own }, "{own} {got}");
        }
        world.is_at_rest();
    });
}

#[test]
fn an_ended_flight_does_not_remove_its_successor() {
    model(|| {
        let world = World::new();
        let (task, mut leader) = (Task::new(), world.call(1, 1));
        assert!(task.poll(&mut leader).is_pending());
        let mut follower = world.call(0, 9);
        let other = world.clone();
        let successor = spawn(move || {
            other.table.forget(&());
            let (task, mut leader) = (Task::new(), other.call(1, 2));
            assert!(!leader.follows());
            assert!(task.poll(&mut leader).is_pending());
            // Whatever the first flight does meanwhile, this one is up.
            let mut follower = other.call(0, 3);
            assert!(follower.follows());
            assert_eq!(task.poll(&mut leader), Poll::Ready(2));
            assert_eq!(Task::new().finish(&mut follower), 2);
        });
        assert_eq!(task.poll(&mut leader), Poll::Ready(1));
        assert_eq!(Task::new().finish(&mut follower), 1);
        successor.join().unwrap();
        world.is_at_rest();
    });
}

#[test]
fn leaving_races_joining() {
    model(|| {
        let world = World::new();
        let mut leader = world.call(1, 1);
        assert!(Task::new().poll(&mut leader).is_pending());
        let joiners = [2, 3].map(|value| {
            let world = world.clone();
            spawn(move || Task::new().finish(&mut world.call(0, value)))
        });
        drop(leader);
        for joiner in joiners {
            assert_ne!(joiner.join().unwrap(), 1, "its leader never finished");
        }
        world.is_at_rest();
    });
}

#[test]
fn the_last_follower_leaves_as_the_leader_does() {
    model(|| {
        let world = World::new();
        let mut leader = world.call(1, 1);
        let mut followers = [world.call(1, 2), world.call(1, 3)];
        assert!(Task::new().poll(&mut leader).is_pending());
        assert!(Task::new().poll(&mut followers[0]).is_pending());
        let followers = followers.map(|follower| spawn(move || drop(follower)));
        drop(leader);
        for follower in followers {
            follower.join().unwrap();
        }
        world.is_at_rest();
    });
}

#[test]
fn a_panic_reaches_whoever_shared_it() {
    model(|| {
        let world = World::new();
        let (task, mut leader) = (Task::new(), world.call(1, PANICS));
        assert!(task.poll(&mut leader).is_pending());
        let followers = [(); 2].map(|()| {
            let world = world.clone();
            spawn(move || {
                let mut follower = world.call(0, 2);
                let joined = follower.follows();
                let outcome = quietly(|| Task::new().finish(&mut follower));
                (joined, outcome)
            })
        });
        let said = quietly(|| task.poll(&mut leader)).unwrap_err();
        assert_eq!(said, "on purpose", "the original payload");
        for follower in followers {
            match follower.join().unwrap() {
                (_, Ok(value)) => assert_eq!(value, 2),
                (joined, Err(said)) => {
                    assert!(joined);
                    assert!(
                        said.contains("`model`") && said.contains("on purpose"),
                        "{said}"
                    );
                }
            }
        }
        world.is_at_rest();
    });
}

/// The message of a call's panic.
fn quietly<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    silence();
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| crate::wake::message(&*payload).into())
}

/// Keeps the panics of callers, which are on purpose here, off the terminal.
fn silence() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let message = info.payload().downcast_ref::<String>();
            if !message
                .is_some_and(|said| said.contains("on purpose") || said.contains("shut down"))
            {
                hook(info);
            }
        }));
    });
}

/// A waker that makes a call and drops it, whenever it is touched.
struct Reentrant(World, Task);

impl Reentrant {
    fn calls(&self) {
        let mut call = self.0.call(1, 7);
        let _ = Task::new().poll(&mut call);
    }
}

impl Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.calls();
        self.1.waker().wake();
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        self.calls();
    }
}

/// One poll by such a waker, of which only the flight keeps a clone.
fn poll_reentrant(world: &World, call: &mut Called) -> Poll<u32> {
    let waker = Waker::from(Arc::new(Reentrant(world.clone(), Task::new())));
    std::pin::Pin::new(call).poll(&mut Context::from_waker(&waker))
}

#[test]
fn wakers_that_call_again_when_they_wake_and_when_they_are_dropped() {
    model(|| {
        let world = World::new();
        let mut leader = world.call(3, 1);
        // Each replaces the last one's waker, which is dropped: of a lone leader, a leader, and a follower.
        assert!(poll_reentrant(&world, &mut leader).is_pending());
        assert!(poll_reentrant(&world, &mut leader).is_pending());
        let mut follower = world.call(0, 2);
        assert!(poll_reentrant(&world, &mut leader).is_pending());
        assert!(poll_reentrant(&world, &mut follower).is_pending());
        assert!(poll_reentrant(&world, &mut follower).is_pending());
        let leaver = spawn(move || drop(leader));
        let got = loop {
            if let Poll::Ready(got) = poll_reentrant(&world, &mut follower) {
                break got;
            }
            #[cfg(piggyback_loom)]
            loom::thread::yield_now();
        };
        assert_eq!(got, 2);
        leaver.join().unwrap();
        let counts = world.table.counts();
        assert_eq!((counts.up, counts.waiting), (0, 0));
    });
}

fn enter(world: &World) -> Opener {
    let table = world.table.clone();
    super::Call::enter(table, &(), Cloned::new(), Joining::new())
}

/// The task of a spawned flight, and the caller that opened it, who follows.
fn spawned(world: &World, pending: usize) -> (Executed, Opener) {
    let mut opener = enter(world);
    let Role::LeadsAlone { hash, id, .. } = opener.role else {
        panic!("the first call leads");
    };
    let Following { flight, .. } = world.table.share(hash, id).expect("it is up");
    opener.role = Role::Follows {
        flight: flight.clone(),
        slot: None,
        given: true,
        noted: 0,
    };
    let task = Execution {
        body: world.body(pending, 1),
        lead: Lead {
            table: world.table.clone(),
            flight,
            term: 0,
            trace: Trace::NONE,
        },
        store: |output| output,
    };
    (task, opener)
}

#[test]
fn the_last_caller_of_a_spawned_flight_leaves_while_it_finishes() {
    model(|| {
        let world = World::new();
        let (mut execution, mut opener) = spawned(&world, 1);
        let task = Task::new();
        assert!(task.poll(&mut execution).is_pending());
        let waits = Task::new();
        let polled = opener.follow(Does::Given, &mut Context::from_waker(&waits.waker()));
        assert!(polled.is_pending());
        let leaver = spawn(move || drop(opener));
        let other = world.clone();
        let joiner = spawn(move || {
            let mut joiner = other.call(0, 2);
            Task::new().finish(&mut joiner)
        });
        // It ends, whether it lands or finds that no caller waits.
        task.finish(&mut execution);
        drop(execution);
        leaver.join().unwrap();
        let got = joiner.join().unwrap();
        assert!(got == 1 || got == 2);
        world.is_at_rest();
    });
}

#[test]
fn a_spawned_flight_ends_when_its_only_caller_has_left() {
    model(|| {
        let world = World::new();
        // Its body would be pending for ever.
        let (mut execution, opener) = spawned(&world, usize::MAX);
        let leaver = spawn(move || drop(opener));
        Task::new().finish(&mut execution);
        leaver.join().unwrap();
        assert_eq!(world.table.counts().up, 0);
    });
}

/// A caller of a spawned flight that waits for its result, and starts the next task where it has to.
fn follow(world: &World, mut follower: Opener) -> u32 {
    let (task, mut body) = (Task::new(), Some(world.body(0, 2)));
    loop {
        let does = match body {
            Some(_) => Does::ForTask,
            None => Does::Given,
        };
        match follower.follow(does, &mut Context::from_waker(&task.waker())) {
            Poll::Ready(Next::Return(value)) => return value,
            Poll::Ready(Next::Run) => panic!("nobody leads a spawned flight in place"),
            Poll::Ready(Next::Start(term)) => {
                let Role::Follows { flight, given, .. } = &mut follower.role else {
                    panic!("a follower starts a task");
                };
                *given = true;
                let lead = Lead {
                    table: world.table.clone(),
                    flight: flight.clone(),
                    term,
                    trace: Trace::NONE,
                };
                Task::new().finish(&mut Execution {
                    body: body.take().expect("it starts one"),
                    lead,
                    store: |output| output,
                });
            }
            Poll::Pending => task.sleep(),
        }
    }
}

/// A caller that has given its body away.
fn wait(mut opener: Opener, task: &Task) -> u32 {
    loop {
        match opener.follow(Does::Given, &mut Context::from_waker(&task.waker())) {
            Poll::Ready(Next::Return(value)) => return value,
            Poll::Ready(_) => panic!("its body is given away"),
            Poll::Pending => task.sleep(),
        }
    }
}

#[test]
fn a_task_that_is_dropped_is_seen_by_its_callers() {
    model(|| {
        let world = World::new();
        let (execution, opener) = spawned(&world, 1);
        let follower = enter(&world);
        let dropper = spawn(move || drop(execution));
        let leaver = spawn(move || drop(opener));
        assert_eq!(follow(&world, follower), 2);
        dropper.join().unwrap();
        leaver.join().unwrap();
        assert_eq!((world.runs(), world.table.counts().up), (1, 0));
    });
}

#[test]
fn a_lost_task_is_started_again_by_one_caller() {
    model(|| {
        let world = World::new();
        let (execution, opener) = spawned(&world, 1);
        let follower = enter(&world);
        let dropper = spawn(move || drop(execution));
        let other = world.clone();
        let opener = spawn(move || follow(&other, opener));
        assert_eq!(follow(&world, follower), 2);
        assert_eq!(opener.join().unwrap(), 2);
        dropper.join().unwrap();
        assert_eq!((world.runs(), world.table.counts().up), (1, 0));
    });
}

#[test]
fn a_caller_without_a_body_hopes_for_one_that_has_it() {
    model(|| {
        let world = World::new();
        let (execution, opener) = spawned(&world, 1);
        let (leaves, follower) = (enter(&world), enter(&world));
        drop(execution);
        let leaver = spawn(move || drop(leaves));
        let other = world.clone();
        // It can't take over, whichever call is polled first.
        let opener = spawn(move || wait(opener, &Task::new()));
        assert_eq!(follow(&other, follower), 2);
        assert_eq!(opener.join().unwrap(), 2);
        leaver.join().unwrap();
        assert_eq!((world.runs(), world.table.counts().up), (1, 0));
    });
}

#[test]
fn a_caller_without_a_body_is_told_when_nobody_has_one() {
    model(|| {
        silence();
        let world = World::new();
        let (execution, mut opener) = spawned(&world, 1);
        let leaves = enter(&world);
        drop(execution);
        let leaver = spawn(move || drop(leaves));
        let waits = Task::new();
        let said = loop {
            let polled = quietly(|| {
                opener
                    .follow(Does::Given, &mut Context::from_waker(&waits.waker()))
                    .is_pending()
            });
            match polled {
                Ok(true) => waits.sleep(),
                Ok(false) => panic!("there is no result"),
                Err(said) => break said,
            }
        };
        assert!(said.contains("was shut down"), "{said}");
        leaver.join().unwrap();
        drop(opener);
        assert_eq!(world.table.counts().up, 0);
    });
}

#[test]
fn a_stalled_task_goes_on_for_callers_that_have_no_body_left() {
    model(|| {
        let world = World::new();
        let (mut execution, mut opener) = spawned(&world, 1);
        let (task, waits) = (Task::new(), Task::new());
        assert!(task.poll(&mut execution).is_pending());
        let polled = opener.follow(Does::Given, &mut Context::from_waker(&waits.waker()));
        assert!(polled.is_pending());
        let watched = world.table.clone();
        let watch = spawn(move || {
            for _ in 0..4 {
                watched.tick();
            }
        });
        let caller = spawn(move || wait(opener, &waits));
        assert!(task.poll(&mut execution).is_ready());
        drop(execution);
        watch.join().unwrap();
        assert_eq!(caller.join().unwrap(), 1);
        world.is_at_rest();
    });
}

#[test]
fn a_stalled_leader_comes_back() {
    model(|| {
        let world = World::new();
        let (task, mut leader) = (Task::new(), world.call(1, 1));
        assert!(task.poll(&mut leader).is_pending());
        let mut follower = world.call(0, 2);
        let waits = Task::new();
        assert!(waits.poll(&mut follower).is_pending());
        let watched = world.table.clone();
        let watch = spawn(move || {
            for _ in 0..4 {
                watched.tick();
            }
        });
        let follows = spawn(move || waits.finish(&mut follower));
        // Deposed or not: it finishes, and for itself at least.
        assert_eq!(task.poll(&mut leader), Poll::Ready(1));
        watch.join().unwrap();
        let got = follows.join().unwrap();
        assert_eq!(got as usize, world.runs(), "the leader's, or its own");
        world.is_at_rest();
    });
}

#[test]
fn a_stalled_leader_that_comes_back_late_leaves_the_next_flight_alone() {
    model(|| {
        let world = World::new();
        let (task, mut stalled) = (Task::new(), world.call(1, 1));
        assert!(task.poll(&mut stalled).is_pending());
        let (waits, mut follower) = (Task::new(), world.call(0, 2));
        assert!(waits.poll(&mut follower).is_pending());
        for _ in 0..4 {
            world.table.tick();
        }
        assert_eq!(waits.finish(&mut follower), 2);
        // The stalled one knows of none of this: its entry is gone, and the next may be where it was.
        let (task_of_next, mut next) = (Task::new(), world.call(1, 3));
        assert!(task_of_next.poll(&mut next).is_pending());
        let late = spawn(move || assert_eq!(task.poll(&mut stalled), Poll::Ready(1)));
        let mut joins = world.call(0, 4);
        assert!(joins.follows());
        assert_eq!(task_of_next.poll(&mut next), Poll::Ready(3));
        assert_eq!(Task::new().finish(&mut joins), 3);
        late.join().unwrap();
        world.is_at_rest();
    });
}

#[test]
fn whoever_polled_a_leader_last_is_prodded() {
    model(|| {
        // Polled by another task while it is alone, and while it has a follower.
        for alone in [true, false] {
            let world = World::new();
            let ([first, last], mut leader) = ([(); 2].map(|()| Task::new()), world.call(3, 1));
            assert!(first.poll(&mut leader).is_pending());
            if alone {
                assert!(last.poll(&mut leader).is_pending());
            }
            let (waits, mut follower) = (Task::new(), world.call(0, 9));
            assert!(waits.poll(&mut follower).is_pending());
            if !alone {
                assert!(first.poll(&mut leader).is_pending());
                assert!(last.poll(&mut leader).is_pending());
            }
            for _ in 0..2 {
                world.table.tick();
            }
            assert_eq!((first.is_woken(), last.is_woken()), (false, true));
            while last.poll(&mut leader).is_pending() {}
            assert_eq!(waits.finish(&mut follower), 1);
            world.is_at_rest();
        }
    });
}

#[test]
fn polling_a_follower_from_other_tasks_races_its_result() {
    model(|| {
        let world = World::new();
        let (task, mut leader) = (Task::new(), world.call(1, 1));
        assert!(task.poll(&mut leader).is_pending());
        let mut follower = world.call(0, 9);
        let leads = spawn(move || assert_eq!(task.poll(&mut leader), Poll::Ready(1)));
        // The last one counts.
        let result = loop {
            let last = Task::new();
            if let Poll::Ready(result) = Task::new().poll(&mut follower) {
                break result;
            }
            if let Poll::Ready(result) = last.poll(&mut follower) {
                break result;
            }
            last.sleep();
        };
        assert_eq!(result, 1);
        leads.join().unwrap();
        world.is_at_rest();
    });
}

#[test]
fn a_deposed_leader_publishes_nothing() {
    model(|| {
        let world = World::new();
        let (task, mut leader) = (Task::new(), world.call(1, 1));
        assert!(task.poll(&mut leader).is_pending());
        let (leads, mut successor) = (Task::new(), world.call(1, 2));
        assert!(leads.poll(&mut successor).is_pending());
        let (waits, mut follower) = (Task::new(), world.call(0, 9));
        assert!(waits.poll(&mut follower).is_pending());
        for _ in 0..4 {
            world.table.tick();
        }
        // It takes over, and begins its body with the next poll.
        assert!(leads.poll(&mut successor).is_pending());
        assert!(leads.poll(&mut successor).is_pending());
        let stalled = spawn(move || assert_eq!(task.poll(&mut leader), Poll::Ready(1)));
        let follows = spawn(move || waits.finish(&mut follower));
        assert_eq!(leads.poll(&mut successor), Poll::Ready(2));
        assert_eq!(follows.join().unwrap(), 2);
        stalled.join().unwrap();
        world.is_at_rest();
    });
}

/// A follower of a flight that lands, while the next flight with the same key gets a follower.
fn late(then: fn(Task, Called)) {
    model(move || {
        let world = World::new();
        let (task, mut leader) = (Task::new(), world.call(1, 1));
        assert!(task.poll(&mut leader).is_pending());
        let (waits, mut follower) = (Task::new(), world.call(0, 9));
        assert!(waits.poll(&mut follower).is_pending());
        let late = spawn(move || then(waits, follower));
        assert_eq!(task.poll(&mut leader), Poll::Ready(1));
        let (task, mut next) = (Task::new(), world.call(1, 2));
        assert!(task.poll(&mut next).is_pending());
        let (waits, mut joins) = (Task::new(), world.call(0, 9));
        assert!(waits.poll(&mut joins).is_pending());
        let joined = spawn(move || assert_eq!(waits.finish(&mut joins), 2));
        assert_eq!(task.poll(&mut next), Poll::Ready(2));
        joined.join().unwrap();
        late.join().unwrap();
        world.is_at_rest();
    });
}

#[test]
fn a_follower_that_is_polled_late_gets_its_own_result() {
    late(|task, mut follower| assert_eq!(task.finish(&mut follower), 1));
}

#[test]
fn a_follower_that_leaves_late_leaves_the_next_flight_alone() {
    late(|_, follower| drop(follower));
}

#[test]
fn a_flight_that_gets_its_follower_during_a_look_is_looked_at() {
    model(|| {
        let world = World::new();
        let stalled_with_a_follower = |value| {
            let mut leader = world.call(1, value);
            assert!(Task::new().poll(&mut leader).is_pending());
            let (task, mut follower) = (Task::new(), world.call(0, value + 1));
            assert!(task.poll(&mut follower).is_pending());
            (leader, task, follower)
        };
        let first = stalled_with_a_follower(1);
        world.table.forget(&());
        let watched = world.table.clone();
        let look = spawn(move || _ = watched.tick());
        let second = stalled_with_a_follower(3);
        look.join().unwrap();
        for _ in 0..4 {
            world.table.tick();
        }
        for ((leader, task, mut follower), own) in [(first, 2), (second, 4)] {
            assert_eq!(task.finish(&mut follower), own);
            drop(leader);
        }
        world.is_at_rest();
    });
}

#[test]
fn a_flight_that_lands_before_another_leaves_that_one_to_the_watch() {
    model(|| {
        let world = World::new();
        let followed = |pending, value| {
            let (task, mut leader) = (Task::new(), world.call(pending, value));
            assert!(task.poll(&mut leader).is_pending());
            let (waits, mut follower) = (Task::new(), world.call(0, value + 1));
            assert!(waits.poll(&mut follower).is_pending());
            (task, leader, waits, follower)
        };
        let (task, mut lands, waits, mut follower) = followed(1, 1);
        world.table.forget(&());
        let (_, stalled, waits_of_next, mut next) = followed(1, 3);
        assert_eq!(task.poll(&mut lands), Poll::Ready(1));
        assert_eq!(waits.finish(&mut follower), 1);
        for _ in 0..4 {
            world.table.tick();
        }
        assert_eq!(waits_of_next.finish(&mut next), 4);
        drop(stalled);
        world.is_at_rest();
    });
}

#[test]
fn a_deposed_leader_does_not_take_the_next_flight_for_its_own() {
    // The next flight stands where the first did, or was there beside it.
    for beside in [false, true] {
        model(move || {
            let world = World::new();
            let (late, mut first) = (Task::new(), world.call(3, 1));
            assert!(late.poll(&mut first).is_pending());
            let (waits, mut follower) = (Task::new(), world.call(0, 2));
            assert!(waits.poll(&mut follower).is_pending());
            // It learns of its follower.
            assert!(late.poll(&mut first).is_pending());
            for _ in 0..4 {
                world.table.tick();
            }
            let next = |world: &World| {
                let (task, mut leader) = (Task::new(), world.call(1, 3));
                assert!(!leader.follows());
                assert!(task.poll(&mut leader).is_pending());
                (task, leader, world.call(0, 4))
            };
            let early = beside.then(|| {
                world.table.forget(&());
                next(&world)
            });
            assert_eq!(waits.finish(&mut follower), 2);
            let (task, mut leader, mut joined) = early.unwrap_or_else(|| next(&world));
            assert!(joined.follows());

            assert!(late.poll(&mut first).is_pending());
            assert!(
                matches!(first.role(), Role::Deposed { .. }),
                "it leads nobody"
            );
            assert_eq!(late.poll(&mut first), Poll::Ready(1));
            assert_eq!(task.poll(&mut leader), Poll::Ready(3));
            assert_eq!(Task::new().finish(&mut joined), 3);
            world.is_at_rest();
        });
    }
}

#[test]
fn a_deposed_leader_is_dropped_while_its_successor_lands() {
    model(|| {
        let world = World::new();
        let (task, mut leader) = (Task::new(), world.call(1, 1));
        assert!(task.poll(&mut leader).is_pending());
        let (mut first, mut second) = (world.call(0, 2), world.call(0, 3));
        let waits = Task::new();
        assert!(waits.poll(&mut first).is_pending());
        for _ in 0..4 {
            world.table.tick();
        }
        let successor = spawn(move || waits.finish(&mut first));
        let other = spawn(move || Task::new().finish(&mut second));
        drop(leader);
        let (a, b) = (successor.join().unwrap(), other.join().unwrap());
        assert!(a == b && (a == 2 || a == 3), "{a}, {b}");
        world.is_at_rest();
    });
}

#[test]
fn calls_that_begin_at_the_same_time_share_one_entry() {
    model(|| {
        let world = World::new();
        let callers = [1, 2].map(|value| {
            let world = world.clone();
            spawn(move || {
                let (task, mut call) = (Task::new(), world.call(1, value));
                let led = !call.follows();
                // A leader is polled twice, and a follower whenever it is woken.
                let polled = task.poll(&mut call);
                match polled {
                    Poll::Ready(got) => (led, got),
                    Poll::Pending if led => match task.poll(&mut call) {
                        Poll::Ready(got) => (led, got),
                        Poll::Pending => panic!("its body is pending once"),
                    },
                    Poll::Pending => (led, task.finish(&mut call)),
                }
            })
        });
        let [(a_led, a), (b_led, b)] = callers.map(|caller| caller.join().unwrap());
        assert!(a_led || b_led);
        assert_eq!(a == b, a_led != b_led);
        world.is_at_rest();
    });
}

#[test]
fn a_full_flight_runs_the_next_call_beside_it() {
    model(|| {
        let world = World::new();
        let (task, mut leader) = (Task::new(), world.call(1, 1));
        assert!(task.poll(&mut leader).is_pending());
        let joining = Joining::new().max_followers(1);
        let callers = [2, 3].map(|value| {
            let world = world.clone();
            spawn(move || {
                let (hash, seen) = (world.table.hash(&()), Caller::current());
                match world.table.enter(hash, &(), joining, seen) {
                    Entered::Follows(following) => {
                        let flight = following.flight;
                        world.table.follower_leaves(&flight, None, false);
                        0
                    }
                    Entered::Alone => 1,
                    Entered::Refused => unreachable!("nothing is refused"),
                    Entered::Leads(id, _) => {
                        world.table.leader_leaves(hash, id, 0, true);
                        value
                    }
                }
            })
        });
        assert_eq!(task.poll(&mut leader), Poll::Ready(1));
        let alone = callers.map(|caller| caller.join().unwrap());
        assert!(alone != [1, 1], "there was room for one: {alone:?}");
        let counts = world.table.counts();
        assert_eq!((counts.up, counts.waiting), (0, 0));
    });
}
