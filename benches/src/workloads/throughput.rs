//! B1: many tasks hand in items as fast as they get results, so that batches are always full. B1o: the
//! same while both cores are busy with something else. B4: a batch is one item.

use crate::{
    batch::{Batcher, Runner, Setup, field, is_detached},
    measure::{Lap, PATIENT, Race},
    record::Column,
    report::Table,
    side_by_side::{Flavour, Mark, Took, side_by_side},
};
use std::{
    cell::Cell,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const TASKS: u64 = 1_000;

pub(crate) fn races() -> Vec<Race> {
    let race = |id, workers, title, field, goals| Race {
        id,
        workers,
        title,
        columns: || vec![Column::timed("ns"), Column::counted("allocs/item")],
        calls: 100_000,
        shorten: true,
        rounds: 15,
        field,
        goals,
    };
    vec![
        race(
            "B1 ct 100",
            1,
            "100 000 items by 1 000 tasks, size 100, 10 ms, one thread; ns an item",
            field::<Full<false, 100>>,
            |table| {
                table.goal_ratio("best peer", table.best_peer(), 0.75);
                table.goal_ratio("one yield an item", table.of("one yield", 0), 1.5);
                table.goal_figure(1, 0.1);
            },
        ),
        race(
            "B1 mt 100",
            2,
            "100 000 items by 1 000 tasks, size 100, 10 ms, 2 workers; ns an item",
            field::<Full<true, 100>>,
            |table| {
                table.goal_ratio("best peer", table.best_peer(), 0.95);
                table.goal_figure(1, 0.1);
            },
        ),
        race(
            "B1 ct 10",
            1,
            "100 000 items by 1 000 tasks, size 10, 10 ms, one thread; ns an item",
            field::<Full<false, 10>>,
            |table| {
                table.goal_ratio("best peer", table.best_peer(), 0.75);
                table.goal_figure(1, 0.6);
            },
        ),
        race(
            "B1 mt 10",
            2,
            "100 000 items by 1 000 tasks, size 10, 10 ms, 2 workers; ns an item",
            field::<Full<true, 10>>,
            |table| {
                table.goal_ratio("best peer", table.best_peer(), 0.95);
                table.goal_figure(1, 0.6);
            },
        ),
        Race {
            id: "B1o",
            workers: 2,
            title: "B1 mt, size 100, with two threads that spin; ns an item",
            columns: || {
                vec![
                    Column::timed("ns"),
                    Column::timed("ns without the spinning"),
                    Column::timed("ratio of these"),
                ]
            },
            // Longer than the slices in which the system shares the cores out.
            calls: 400_000,
            shorten: true,
            rounds: 9,
            field: field::<Overloaded>,
            goals: |table| table.goal_figure(2, 2.0),
        },
        race(
            "B4 ct",
            1,
            "100 000 items by 1 000 tasks, size 1, one thread; ns an item",
            field::<Full<false, 1>>,
            one_item_goals,
        ),
        race(
            "B4 mt",
            2,
            "100 000 items by 1 000 tasks, size 1, 2 workers; ns an item",
            field::<Full<true, 1>>,
            one_item_goals,
        ),
    ]
}

fn one_item_goals(table: &mut Table) {
    let detached = table.best_peer_of(is_detached);
    table.goal_ratio("best peer whose body runs detached", detached, 1.0);
}

const fn flavour(multi: bool) -> Flavour {
    if multi {
        Flavour::Multi
    } else {
        Flavour::Current
    }
}

/// Counts what has been done until it is enough.
struct Count {
    enough: u64,
    begun: Instant,
    done: AtomicU64,
    /// When it was, and how much there was then.
    ended: OnceLock<(Mark, u64)>,
}

impl Count {
    /// A contender that takes longer is stopped, and the items that it has served are counted.
    const LONG_ENOUGH: Duration = Duration::from_secs(1);

    fn is_enough(&self) -> bool {
        self.done.load(Relaxed) >= self.enough
    }

    /// One more. The workers would contend for the count, so each adds to it now and then.
    fn add_one(&self) {
        const NOW_AND_THEN: u64 = 64;
        thread_local!(static UNTOLD: Cell<u64> = const { Cell::new(0) });
        UNTOLD.with(|untold| {
            untold.set(untold.get() + 1);
            if untold.get() == NOW_AND_THEN {
                untold.set(0);
                let done = self.done.fetch_add(NOW_AND_THEN, Relaxed) + NOW_AND_THEN;
                let too_long = self.begun.elapsed() > Self::LONG_ENOUGH && !PATIENT.load(Relaxed);
                if done >= self.enough || too_long {
                    self.ended.get_or_init(|| (Mark::now(), done));
                    self.done.fetch_add(self.enough, Relaxed);
                }
            }
        });
    }
}

/// What it takes for each item, while all tasks hand them in. The clock stops when there have been
/// enough: at the end, where fewer tasks are left than a batch takes, the rest waits for the delay.
pub(crate) fn items<B: Batcher>(
    batcher: &Arc<B>,
    flavour: Flavour,
    tasks: u64,
    items: u64,
) -> Took {
    let count = Arc::new(Count {
        enough: items,
        begun: Instant::now(),
        done: AtomicU64::new(0),
        ended: OnceLock::new(),
    });
    let [begun, _] = side_by_side(
        flavour,
        tasks as usize,
        |task| {
            let (batcher, count) = (batcher.clone(), count.clone());
            async move {
                // No two items are equal: some contenders would share them.
                let mut item = (task as u64) << 32;
                while !count.is_enough() {
                    assert_eq!(batcher.call(item).await, item + 1);
                    count.add_one();
                    item += 1;
                }
            }
        },
        || batcher.nudge(),
    );
    let (ended, done) = *count.ended.get().expect("tasks go on until then");
    let took = ended.since(begun);
    let items = done as f64;
    Took {
        ns: took.ns / items,
        allocations: took.allocations / items,
    }
}

struct Full<const MULTI: bool, const SIZE: usize>;

impl<const MULTI: bool, const SIZE: usize> Runner for Full<MULTI, SIZE> {
    const SETUP: Setup = Setup::new(flavour(MULTI), SIZE);

    fn lap<B: Batcher>(batcher: B) -> Lap {
        let batcher = Arc::new(batcher);
        Box::new(move |calls| {
            let took = items(&batcher, flavour(MULTI), TASKS, calls);
            vec![took.ns, took.allocations]
        })
    }
}

struct Overloaded;

impl Runner for Overloaded {
    const SETUP: Setup = Setup::new(Flavour::Multi, 100);

    fn lap<B: Batcher>(batcher: B) -> Lap {
        let batcher = Arc::new(batcher);
        Box::new(move |calls| {
            let alone = items(&batcher, Flavour::Multi, TASKS, calls).ns;
            let busy = AtomicBool::new(true);
            let spin = || {
                while busy.load(Relaxed) {
                    std::hint::spin_loop();
                }
            };
            let loaded = std::thread::scope(|scope| {
                scope.spawn(spin);
                scope.spawn(spin);
                let took = items(&batcher, Flavour::Multi, TASKS, calls);
                busy.store(false, Relaxed);
                took.ns
            });
            vec![loaded, alone, loaded / alone]
        })
    }
}
