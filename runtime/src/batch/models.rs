//! Models of batches: see [`model`](crate::model). Tasks and their timers are driven by hand.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};

use tokio::runtime::{self, Runtime};

use super::group::{Step, Turn};
use super::idle::Asked;
use super::item::Item;
use super::limits::Limits;
use super::seat::Seat;
use super::shared::{Cause, Ended};
use super::table::{Given, Opens, Polled, Queue, Ready, Seated, Table, Work};
use crate::model::{Task, model, spawn};
use crate::sync::{Arc, Mutex};
use crate::watch::Watched;

type Groups = Arc<Table<(), u32, (), (), u32>>;
type Batch = Arc<super::shared::Batch<u32>>;

/// Longer than any model.
const NEVER: u64 = 1 << 40;

#[derive(Clone)]
struct World {
    table: Groups,
    limits: Limits,
    /// What bulk calls were given.
    bulk: Arc<Mutex<Vec<Vec<u32>>>>,
    /// How many are running.
    running: Arc<AtomicUsize>,
    /// What those were given that have ended.
    written: Arc<Mutex<Vec<u32>>>,
}

/// A call that has begun.
struct Called {
    task: Task,
    seat: Seat<Groups, u32>,
    /// Set if it opened its batch, and that needs a task.
    opened: Option<Batch>,
}

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            table: Arc::new(Table::new("model".into(), 1)),
            limits,
            bulk: Arc::default(),
            running: Arc::default(),
            written: Arc::default(),
        }
    }

    fn join(&self, item: u32) -> Called {
        self.join_on(item, None)
    }

    /// On a runtime, of which a task may take the batch.
    fn join_on(&self, item: u32, runtime: Option<runtime::Id>) -> Called {
        let task = Task::new();
        let limits = self.limits;
        let item = Item::new(item);
        let Seated {
            batch,
            ticket,
            opened,
            task: first,
            nests,
        } = self
            .table
            .join(task.waker(), &(), item, usize::MAX, || Opens {
                limits,
                bulk: (),
                runtime,
            })
            .expect("without a limit, there is a place");
        let seated = Seated {
            batch: batch.clone(),
            ticket,
            // The task is the model's business.
            opened: false,
            task: None,
            nests,
        };
        let seat = Seat::take((self.table.clone(), |_, _, _, _| false), seated);
        assert!(first.is_none_or(|turn| opened && turn == 0));
        assert!(first.is_some() || !opened || runtime.is_some());
        let opened = first.map(|_| batch);
        Called { task, seat, opened }
    }

    /// A batch's task: waits until it may run, and answers each item with ten times itself.
    fn drive(&self, batch: &Batch, turn: Turn) {
        if let Some(items) = self.start(batch, turn) {
            self.ends(batch, &items);
        }
    }

    /// The same, until its bulk call has begun.
    fn start(&self, batch: &Batch, turn: Turn) -> Option<Vec<u32>> {
        let task = Task::new();
        loop {
            match self
                .table
                .go(batch, turn, None, &mut Context::from_waker(&task.waker()))
            {
                Step::Run(Ready { items, .. }) => {
                    self.begins(&items);
                    return Some(items);
                }
                Step::Wait(_) => task.sleep(),
                Step::Fills(_) => unreachable!("it did not ask"),
                Step::Gone => return None,
            }
        }
    }

    fn begins(&self, items: &[u32]) {
        assert!(!items.is_empty() && items.len() <= self.limits.size);
        let most = self.limits.concurrency.unwrap_or(usize::MAX);
        assert!(self.running.fetch_add(1, SeqCst) < most, "too many at once");
        self.bulk.lock().push(items.to_vec());
    }

    fn ends(&self, batch: &Batch, items: &[u32]) {
        self.running.fetch_sub(1, SeqCst);
        self.written.lock().extend(items);
        let results = items.iter().map(|item| item * 10).collect();
        self.table.ends(batch, Ended::with(results));
    }

    /// A whole call on a thread of its own, which also drives the batch that it opens.
    fn call(&self, item: u32) -> u32 {
        let mut called = self.join(item);
        if let Some(batch) = called.opened.take() {
            self.drive(&batch, 0);
        }
        called.task.finish(&mut called.seat)
    }

    /// A call to its end, which adopts its batch if it has to. Returns whether it did, too.
    fn adopt(&self, called: Called) -> (u32, bool) {
        let mut adopted = false;
        loop {
            match poll(self, &called) {
                Polled::Result(result) => {
                    called.seat.served();
                    return (result, adopted);
                }
                Polled::Waits => called.task.sleep(),
                Polled::Adopts(turn) => {
                    assert_eq!(turn, 1);
                    adopted = true;
                    let (batch, _) = called.seat.place();
                    self.drive(batch, turn);
                }
                Polled::Failed(failure) => panic!("{failure:?}"),
                Polled::Moved(..) | Polled::Rescues(..) => unreachable!("not in these models"),
            }
        }
    }

    /// A whole call on the runtime of tasks that stay: one of them may take the batch that it opens.
    fn call_where_tasks_stay(&self, item: u32) -> u32 {
        let mut called = self.join_on(item, Some(runtime()));
        if let Some(batch) = called.opened.take() {
            self.drive(&batch, 0);
        }
        self.adopt(called).0
    }

    /// A batch's task, which stays when it has ended. Returns its number.
    fn drive_and_stay(&self, batch: &Batch, task: &Task) -> u64 {
        self.drive(batch, 0);
        let number = self.table.stay(batch.hash, runtime(), task.waker());
        number.expect("no other runtime is there")
    }

    /// The same, which then drives what it is given, or is told by the watch to end.
    fn drive_and_ask(&self, batch: &Batch) {
        let task = Task::new();
        let number = self.drive_and_stay(batch, &task);
        for _ in 0..2 {
            self.table.tick();
        }
        loop {
            task.sleep();
            match self.table.ask(batch.hash, number) {
                Asked::SleepsOn => {}
                Asked::Ends => return,
                Asked::Takes(Given { batch, turn, ready }) => {
                    return match ready {
                        Some(Ready { items, .. }) => {
                            self.begins(&items);
                            self.ends(&batch, &items);
                        }
                        None => self.drive(&batch, turn),
                    };
                }
            }
        }
    }

    /// Every item was written once, and nothing is left.
    fn wrote(&self, expected: &[u32]) {
        let mut written = self.bulk.lock().concat();
        written.sort_unstable();
        assert_eq!(written, expected);
        self.is_idle();
    }

    fn is_idle(&self) {
        let census = self.table.census();
        assert_eq!((census.running, census.waiting), (0, 0));
        assert!(self.table.flush().is_empty(), "a batch is left");
        assert!(!self.table.tick(), "a group is left");
    }
}

#[test]
fn nothing_is_left_of_a_batch_whose_callers_have_their_results() {
    model(|| {
        let world = World::new(Limits::new(1, 0));
        let mut call = world.join(1);
        let batch = call.opened.take().expect("the first opens");
        let task = {
            let world = world.clone();
            spawn(move || world.drive(&batch, 0))
        };
        assert_eq!(call.task.finish(&mut call.seat), 10);
        // Whatever the task has yet to do.
        world.is_idle();
        task.join().unwrap();
    });
}

#[test]
fn closing_by_size_races_closing_by_time() {
    model(|| {
        // The delay is over at once.
        let world = World::new(Limits::new(2, 0));
        let mut first = world.join(1);
        let batch = first.opened.take().expect("the first opens");
        let task = {
            let world = world.clone();
            spawn(move || world.drive(&batch, 0))
        };
        let other = {
            let world = world.clone();
            spawn(move || world.call(2))
        };
        assert_eq!(world.call(3), 30);
        assert_eq!(first.task.finish(&mut first.seat), 10);
        assert_eq!(other.join().unwrap(), 20);
        task.join().unwrap();
        world.wrote(&[1, 2, 3]);
    });
}

#[test]
fn a_full_batch_goes_though_its_time_has_not_come() {
    model(|| {
        let world = World::new(Limits::new(2, NEVER));
        let callers = [1, 2].map(|item| {
            let world = world.clone();
            spawn(move || world.call(item))
        });
        let [a, b] = callers.map(|caller| caller.join().unwrap());
        assert_eq!((a, b), (10, 20));
        assert_eq!(world.bulk.lock().len(), 1);
        world.wrote(&[1, 2]);
    });
}

#[test]
fn leaving_races_the_take() {
    model(|| {
        let world = World::new(Limits::new(3, 0));
        let mut first = world.join(1);
        let batch = first.opened.take().expect("the first opens");
        let (leaver, mut stays) = (world.join(2), world.join(3));
        let task = {
            let world = world.clone();
            spawn(move || world.drive(&batch, 0))
        };
        let leaver = spawn(move || drop(leaver.seat));
        assert_eq!(stays.task.finish(&mut stays.seat), 30);
        assert_eq!(first.task.finish(&mut first.seat), 10);
        task.join().unwrap();
        leaver.join().unwrap();
        let written = world.bulk.lock().concat();
        assert!(written == [1, 2, 3] || written == [1, 3], "{written:?}");
        world.is_idle();
    });
}

#[test]
fn all_leave_as_the_batch_is_taken() {
    model(|| {
        let world = World::new(Limits::new(2, 0));
        let mut first = world.join(1);
        let batch = first.opened.take().expect("the first opens");
        let second = world.join(2);
        let leavers = [first, second].map(|called| spawn(move || drop(called.seat)));
        let flush = world.table.flush();
        world.drive(&batch, 0);
        for leaver in leavers {
            leaver.join().unwrap();
        }
        // Who waited for the batch learns of its end, whichever it was.
        let task = Task::new();
        assert!(flush.iter().all(|batch| batch.has_ended(&task.waker())));
        world.is_idle();
    });
}

#[test]
fn a_place_that_was_left_is_filled_again() {
    model(|| {
        let world = World::new(Limits::new(2, NEVER));
        let (mut first, second) = (world.join(1), world.join(2));
        let batch = first.opened.take().expect("the first opens");
        let leaver = spawn(move || drop(second.seat));
        let task = {
            let world = world.clone();
            spawn(move || world.drive(&batch, 0))
        };
        // Either into the place that was left, or into a batch of its own, which somebody has to send off.
        let third = world.join(3);
        leaver.join().unwrap();
        let flush = world.table.flush();
        if let Some(batch) = &third.opened {
            world.drive(batch, 0);
        }
        let Called {
            task: t, mut seat, ..
        } = third;
        assert_eq!(t.finish(&mut seat), 30);
        assert_eq!(first.task.finish(&mut first.seat), 10);
        task.join().unwrap();
        assert!(flush.len() <= 2);
        assert!(world.bulk.lock().iter().all(|items| items.len() <= 2));
        world.is_idle();
    });
}

#[test]
fn flushing_races_closing() {
    model(|| {
        let world = World::new(Limits::new(2, NEVER));
        let mut first = world.join(1);
        let batch = first.opened.take().expect("the first opens");
        let task = {
            let world = world.clone();
            let batch = batch.clone();
            spawn(move || world.drive(&batch, 0))
        };
        let other = {
            let world = world.clone();
            spawn(move || {
                let called = world.join(2);
                if let Some(batch) = &called.opened {
                    // It came after the flush: nobody else sends it off.
                    world.table.flush();
                    world.drive(batch, 0);
                }
                let Called { task, mut seat, .. } = called;
                assert_eq!(task.finish(&mut seat), 20);
            })
        };
        let flushed = Task::new();
        let runs = world.bulk.lock().concat().contains(&1);
        let under_way = world.table.flush();
        let ours = under_way
            .iter()
            .any(|under_way| Arc::ptr_eq(under_way, &batch));
        for batch in under_way {
            while !batch.has_ended(&flushed.waker()) {
                flushed.sleep();
            }
        }
        assert!(!runs || world.written.lock().contains(&1), "it still runs");
        // What was open or running when the flush began has ended: its result is there without a wait.
        let mut polled = poll(&world, &first);
        while let Polled::Waits = polled {
            assert!(!ours, "the flush waited for it");
            first.task.sleep();
            polled = poll(&world, &first);
        }
        assert!(matches!(polled, Polled::Result(10)));
        first.seat.served();
        task.join().unwrap();
        other.join().unwrap();
        world.wrote(&[1, 2]);
    });
}

fn poll(world: &World, called: &Called) -> Polled<u32> {
    let (batch, ticket) = called.seat.place();
    let waker = called.task.waker();
    world
        .table
        .poll(batch, ticket, &mut Context::from_waker(&waker))
}

#[test]
fn a_slot_is_handed_on() {
    model(|| {
        let world = World::new(Limits::new(1, NEVER).concurrency(1));
        let callers = [1, 2].map(|item| {
            let world = world.clone();
            spawn(move || world.call(item))
        });
        assert_eq!(world.call(3), 30);
        for (item, caller) in [1, 2].into_iter().zip(callers) {
            assert_eq!(caller.join().unwrap(), item * 10);
        }
        world.wrote(&[1, 2, 3]);
    });
}

#[test]
fn a_slot_is_handed_past_a_batch_whose_caller_leaves() {
    model(|| {
        let world = World::new(Limits::new(1, NEVER).concurrency(1));
        let (first, second, third) = (world.join(1), world.join(2), world.join(3));
        let tasks = [&first, &second].map(|called| {
            let (world, batch) = (
                world.clone(),
                called.opened.clone().expect("each opens one"),
            );
            spawn(move || world.drive(&batch, 0))
        });
        let leaver = spawn(move || drop(second.seat));
        world.drive(third.opened.as_ref().expect("each opens one"), 0);
        for Called { task, mut seat, .. } in [first, third] {
            task.finish(&mut seat);
        }
        for thread in tasks.into_iter().chain([leaver]) {
            thread.join().unwrap();
        }
        world.is_idle();
    });
}

#[test]
fn two_slots_that_are_free_at_once_go_to_two_batches() {
    model(|| {
        let world = World::new(Limits::new(1, NEVER).concurrency(2));
        let called = [1, 2, 3, 4].map(|item| world.join(item));
        let [first, second, third, fourth] =
            [0, 1, 2, 3].map(|at| called[at].opened.clone().expect("each opens one"));
        let running = [first, second].map(|batch| {
            let items = world.start(&batch, 0).expect("there is a slot");
            (batch, items)
        });
        let waiting = [third, fourth].map(|batch| {
            let world = world.clone();
            spawn(move || {
                let items = world.start(&batch, 0).expect("it is its own");
                (batch, items)
            })
        });
        for (batch, items) in running {
            world.ends(&batch, &items);
        }
        // Neither ends before both have begun.
        for (batch, items) in waiting.map(|task| task.join().unwrap()) {
            world.ends(&batch, &items);
        }
        for Called { task, mut seat, .. } in called {
            task.finish(&mut seat);
        }
        world.wrote(&[1, 2, 3, 4]);
    });
}

#[test]
fn an_eager_call_waits_only_for_the_one_before() {
    model(|| {
        let world = World::new(Limits::new(4, NEVER).eager());
        let callers = [1, 2].map(|item| {
            let world = world.clone();
            spawn(move || world.call(item))
        });
        assert_eq!(world.call(3), 30);
        for (item, caller) in [1, 2].into_iter().zip(callers) {
            assert_eq!(caller.join().unwrap(), item * 10);
        }
        world.wrote(&[1, 2, 3]);
    });
}

#[test]
fn a_lost_task_is_adopted_by_one_caller() {
    model(|| {
        let world = World::new(Limits::new(2, 0));
        let (mut first, second) = (world.join(1), world.join(2));
        let batch = first.opened.take().expect("the first opens");
        let callers = [first, second].map(|called| {
            let world = world.clone();
            spawn(move || world.adopt(called))
        });
        // The watch gives it up, and so does its runtime: once is enough.
        let watch = {
            let (world, batch) = (world.clone(), batch.clone());
            spawn(move || _ = world.table.orphan(&batch, 0))
        };
        world.table.orphan(&batch, 0);
        // The old task, if it is there after all, runs the batch if nobody else has.
        world.drive(&batch, 0);
        watch.join().unwrap();
        let [(a, first), (b, second)] = callers.map(|caller| caller.join().unwrap());
        assert_eq!((a, b), (10, 20));
        assert!(!(first && second), "no two adopt it");
        world.wrote(&[1, 2]);
    });
}

/// The runtime of tasks that stay. Nothing runs on it.
fn runtime() -> runtime::Id {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| runtime::Builder::new_current_thread().build().unwrap());
    RUNTIME.handle().id()
}

#[test]
fn a_task_that_stays_takes_what_it_is_given() {
    model(|| {
        let world = World::new(Limits::new(1, NEVER));
        let mut first = world.join(1);
        let batch = first.opened.take().expect("the first opens");
        let task = {
            let world = world.clone();
            spawn(move || world.drive_and_ask(&batch))
        };
        let other = {
            let world = world.clone();
            spawn(move || world.call_where_tasks_stay(2))
        };
        assert_eq!(first.task.finish(&mut first.seat), 10);
        assert_eq!(other.join().unwrap(), 20);
        task.join().unwrap();
        world.wrote(&[1, 2]);
    });
}

#[test]
fn a_task_that_stays_waits_for_a_batch_that_is_not_full() {
    model(|| {
        let world = World::new(Limits::new(2, NEVER));
        let (mut first, mut second) = (world.join(1), world.join(2));
        let batch = first.opened.take().expect("the first opens");
        let task = {
            let world = world.clone();
            spawn(move || world.drive_and_ask(&batch))
        };
        let others = [3, 4].map(|item| {
            let world = world.clone();
            spawn(move || world.call_where_tasks_stay(item))
        });
        assert_eq!(first.task.finish(&mut first.seat), 10);
        assert_eq!(second.task.finish(&mut second.seat), 20);
        let results = others.map(|other| other.join().unwrap());
        assert_eq!(results, [30, 40]);
        task.join().unwrap();
        world.wrote(&[1, 2, 3, 4]);
    });
}

#[test]
fn what_a_task_that_stayed_was_given_is_adopted_if_it_is_lost() {
    model(|| {
        let world = World::new(Limits::new(1, NEVER));
        let mut first = world.join(1);
        let batch = first.opened.take().expect("the first opens");
        let task = {
            let (world, batch) = (world.clone(), batch.clone());
            spawn(move || {
                let number = world.drive_and_stay(&batch, &Task::new());
                world.table.lost(batch.hash, number);
            })
        };
        let mut other = world.join_on(2, Some(runtime()));
        let given = match other.opened.take() {
            Some(batch) => {
                world.drive(&batch, 0);
                false
            }
            None => true,
        };
        assert_eq!(world.adopt(other), (20, given));
        assert_eq!(first.task.finish(&mut first.seat), 10);
        task.join().unwrap();
        world.wrote(&[1, 2]);
    });
}

#[test]
fn a_failure_reaches_whoever_is_there() {
    model(|| {
        let world = World::new(Limits::new(2, 0));
        let (mut first, second) = (world.join(1), world.join(2));
        let batch = first.opened.take().expect("the first opens");
        let leaver = spawn(move || drop(first.seat));
        let stays = {
            let world = world.clone();
            spawn(move || {
                loop {
                    match poll(&world, &second) {
                        Polled::Failed(Cause::Panic(said)) => break assert_eq!(&*said, "oh"),
                        Polled::Waits => second.task.sleep(),
                        other => panic!("{other:?}"),
                    }
                }
                second.seat.served();
            })
        };
        let waker = Task::new().waker();
        match world
            .table
            .go(&batch, 0, None, &mut Context::from_waker(&waker))
        {
            Step::Run(ready) => assert!(ready.items.ends_with(&[2])),
            _ => panic!("its time has come"),
        }
        let failure = Cause::Panic("oh".into());
        world.table.ends(&batch, Ended::Failed(failure));
        leaver.join().unwrap();
        stays.join().unwrap();
        world.is_idle();
    });
}

#[test]
fn polling_a_seat_races_its_result() {
    model(|| {
        let world = World::new(Limits::new(1, 0));
        let mut called = world.join(1);
        let batch = called.opened.take().expect("it opens");
        let task = {
            let world = world.clone();
            spawn(move || world.drive(&batch, 0))
        };
        // With another waker each time: the last one counts.
        let mut seat = called.seat;
        let result = loop {
            let last = Task::new();
            if let Poll::Ready(result) = Task::new().poll(&mut seat) {
                break result;
            }
            if let Poll::Ready(result) = last.poll(&mut seat) {
                break result;
            }
            last.sleep();
        };
        assert_eq!(result, 10);
        task.join().unwrap();
        world.wrote(&[1]);
    });
}

#[test]
fn whoever_polled_last_is_woken_by_the_result() {
    model(|| {
        // Polled while its batch is queued, and while it runs.
        for runs in [false, true] {
            let world = World::new(Limits::new(1, NEVER).concurrency(1));
            let mut called = world.join(1);
            let batch = called.opened.take().expect("it opens");
            let early = runs.then(|| world.start(&batch, 0).expect("it is full"));
            let [first, last] = [(); 2].map(|()| Task::new());
            // The very first poll is the one with which it came.
            assert!(first.poll(&mut called.seat).is_pending());
            assert!(first.poll(&mut called.seat).is_pending());
            assert!(last.poll(&mut called.seat).is_pending());
            let items = early.unwrap_or_else(|| world.start(&batch, 0).expect("it is full"));
            world.ends(&batch, &items);
            assert_eq!((first.is_woken(), last.is_woken()), (false, true));
            assert_eq!(last.finish(&mut called.seat), 10);
            world.wrote(&[1]);
        }
    });
}

/// Two batches behind a running bulk call; the first has a free place, which an item of the second takes as it is taken.
fn topped_up() -> (World, (Batch, Vec<u32>), [Called; 3]) {
    let world = World::new(Limits::new(2, NEVER).concurrency(1));
    let [running, full, left, free, moves] = [0, 9, 1, 2, 3].map(|item| world.join(item));
    let batch = running.opened.clone().expect("it opens one");
    let items = world.start(&batch, 0).expect("there is a slot");
    [running, full]
        .into_iter()
        .for_each(|called| called.seat.served());
    drop(free.seat);
    let last = world.join(4);
    (world, (batch, items), [left, moves, last])
}

#[test]
fn a_caller_whose_item_moves_finds_its_result() {
    model(|| {
        let (world, (batch, items), [first, moves, last]) = topped_up();
        let tasks = [&first, &moves].map(|called| {
            let (world, batch) = (world.clone(), called.opened.clone().expect("it opens one"));
            spawn(move || world.drive(&batch, 0))
        });
        // It is polled before, while or after its item moves.
        let Called { task, mut seat, .. } = moves;
        let moved = spawn(move || task.finish(&mut seat));
        world.ends(&batch, &items);
        assert_eq!(moved.join().unwrap(), 30);
        let Called { task, mut seat, .. } = first;
        assert_eq!(task.finish(&mut seat), 10);
        world.table.flush();
        let Called { task, mut seat, .. } = last;
        assert_eq!(task.finish(&mut seat), 40);
        tasks.into_iter().for_each(|task| task.join().unwrap());
        world.is_idle();
    });
}

#[test]
fn a_caller_leaves_as_its_item_moves() {
    model(|| {
        let (world, (batch, items), [first, moves, last]) = topped_up();
        let tasks = [&first, &moves].map(|called| {
            let (world, batch) = (world.clone(), called.opened.clone().expect("it opens one"));
            spawn(move || world.drive(&batch, 0))
        });
        let leaver = spawn(move || drop(moves.seat));
        world.ends(&batch, &items);
        leaver.join().unwrap();
        world.table.flush();
        for Called { task, mut seat, .. } in [first, last] {
            task.finish(&mut seat);
        }
        tasks.into_iter().for_each(|task| task.join().unwrap());
        world.is_idle();
    });
}

#[test]
fn a_batch_that_is_urgent_needs_no_slot() {
    model(|| {
        let world = World::new(Limits::new(1, NEVER).concurrency(1));
        let (first, second) = (world.join(1), world.join(2));
        let batches =
            [&first, &second].map(|called| called.opened.clone().expect("each opens one"));
        let items = world.start(&batches[0], 0).expect("there is a slot");
        let (queue, batch) = (world.clone(), batches[1].clone());
        // It runs beside the first, which waits for it.
        let urgent = spawn(move || {
            let task = Task::new();
            let waker = task.waker();
            loop {
                let mut cx = Context::from_waker(&waker);
                match queue.table.go(&batch, 0, None, &mut cx) {
                    Step::Run(Ready { items, .. }) => {
                        return queue.table.ends(&batch, Ended::with(items));
                    }
                    Step::Wait(_) => task.sleep(),
                    _ => unreachable!("it is its own"),
                }
            }
        });
        world.table.hurry(&batches[1]);
        urgent.join().unwrap();
        let Called { task, mut seat, .. } = second;
        assert_eq!(task.finish(&mut seat), 2);
        world.ends(&batches[0], &items);
        let Called { task, mut seat, .. } = first;
        assert_eq!(task.finish(&mut seat), 10);
        world.is_idle();
    });
}
