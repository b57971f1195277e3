//! When nothing is in flight, nothing is left: measured with an allocator that counts. One test, since it counts for all.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use piggyback::{Scope, dedup};
use piggyback_tests::by_hand::{ByHand, Gate, block_on};

struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: hands everything on to the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The memory that an idle function may keep: the room for a few entries in each shard.
const KEPT: isize = 128 * 1024;

#[dedup(skip(gate))]
async fn user(gate: &Gate, name: &str) -> String {
    gate.seen_open().await;
    name.to_owned()
}

#[dedup(scope = scope, skip(gate))]
async fn scoped(scope: &Scope, gate: &Gate, id: usize) -> usize {
    gate.seen_open().await;
    id
}

const NOBODY: usize = 0;

#[dedup(max_followers = NOBODY, skip(gate))]
async fn apart(gate: &Gate, id: usize) -> usize {
    gate.seen_open().await;
    id
}

/// Runs a story, and sees that it left no more than `kept` behind, once the watch has passed by.
fn leaves(kept: isize, what: &str, story: impl FnOnce()) {
    let before = LIVE.load(Relaxed);
    story();
    let asked = Instant::now();
    loop {
        let left = LIVE.load(Relaxed) - before;
        if left <= kept {
            return;
        }
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "{what} left {left} bytes behind"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("user number {n}")).collect()
}

#[test]
fn memory_comes_back() {
    let (open, shut) = (Gate::new(), Gate::new());
    open.open();
    block_on(user(&open, "first"));
    block_on(apart(&open, 0));

    leaves(KEPT, "10^6 finished calls", || {
        let mut name = String::new();
        for n in 0..1_000_000u32 {
            name.clear();
            name.push_str("user ");
            name.push_str(&n.to_string());
            assert_eq!(block_on(user(&open, &name)).len(), name.len());
        }
    });

    leaves(KEPT, "10^5 cancelled keys", || {
        for name in names(0..100_000) {
            drop(ByHand::waiting(user(&shut, &name)));
        }
    });

    leaves(KEPT, "10^5 cancelled keys with followers", || {
        for name in names(0..100_000) {
            let leader = ByHand::waiting(user(&shut, &name));
            let follower = ByHand::waiting(user(&shut, &name));
            let mut heir = ByHand::waiting(user(&shut, &name));
            drop(leader);
            assert!(heir.poll().is_pending());
            drop(heir);
            drop(follower);
        }
    });

    leaves(KEPT, "a burst of 10^5 flights", || {
        let names = names(0..100_000);
        let gate = Gate::new();
        let mut calls: Vec<_> = names
            .iter()
            .map(|name| ByHand::waiting(user(&gate, name)))
            .collect();
        gate.open();
        for call in &mut calls {
            assert!(call.poll().is_ready());
        }
    });

    leaves(
        KEPT,
        "a burst of 10^5 flights with followers, half of them cancelled",
        || {
            let names = names(0..100_000);
            let gate = Gate::new();
            let mut calls: Vec<_> = names
                .iter()
                .flat_map(|name| [(); 2].map(|()| ByHand::waiting(user(&gate, name))))
                .collect();
            calls.truncate(100_000);
            gate.open();
            for call in &mut calls {
                assert!(call.poll().is_ready());
            }
        },
    );

    leaves(KEPT, "10^5 followers that came and went", || {
        let mut leader = ByHand::waiting(user(&shut, "long"));
        leaves(KEPT, "each of 10^5 followers", || {
            let _stays = ByHand::waiting(user(&shut, "long"));
            for _ in 0..100_000 {
                drop(ByHand::waiting(user(&shut, "long")));
            }
        });
        assert!(leader.poll().is_pending());
    });

    // Long flights in every shard, so that none is ever empty, and short ones with followers beside them.
    let long = names(0..2_000);
    let _long: Vec<_> = long
        .iter()
        .map(|name| ByHand::waiting(user(&shut, name)))
        .collect();
    leaves(KEPT, "10^5 short flights beside long ones", || {
        let names = names(10_000..110_000);
        let mut last = None;
        for name in &names {
            // The one before ends when the next one is up.
            let pair = [(); 2].map(|()| ByHand::waiting(user(&shut, name)));
            drop(last.replace(pair));
        }
        drop(last);
    });

    leaves(KEPT, "10^5 flights that nobody may join", || {
        let mut last = None;
        let _long: Vec<_> = (0..2_000)
            .map(|id| ByHand::waiting(apart(&shut, id)))
            .collect();
        leaves(
            KEPT,
            "10^5 flights beside long ones that nobody may join",
            || {
                for id in 10_000..110_000 {
                    let pair = [(); 2].map(|()| ByHand::waiting(apart(&shut, id)));
                    drop(last.replace(pair));
                }
                drop(last);
            },
        );
    });

    leaves(1024, "1000 scopes", || {
        for _ in 0..1_000 {
            let scope = Scope::new();
            for id in 0..10 {
                let leader = ByHand::waiting(scoped(&scope, &shut, id));
                let follower = ByHand::waiting(scoped(&scope, &shut, id));
                drop((leader, follower));
            }
            assert_eq!(block_on(scoped(&scope, &open, 99)), 99);
        }
    });
}
