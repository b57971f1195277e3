//! An idle function keeps nothing: 10^5 tenants come and go, and their memory is given back.

use piggyback::batch;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::time::Duration;

struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: it only counts what it passes on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, SeqCst);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, SeqCst);
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[batch(size = 10, delay_ms = 5)]
async fn save(tenant: String, ids: Vec<u64>) -> Vec<String> {
    ids.iter().map(|id| format!("{tenant}{id}")).collect()
}

const TENANTS: u64 = 100_000;

/// On a runtime of its own, whose memory is not counted.
fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

fn live() -> isize {
    LIVE.load(SeqCst)
}

#[test]
fn tenants_come_and_go_and_nothing_is_left() {
    // The first call makes the function's table, which stays.
    run(save("warm".into(), 0));
    let before = live();

    // One after the other, some of them leaving early.
    run(async {
        for tenant in 0..TENANTS / 2 {
            let name = format!("a tenant with a long name, number {tenant}");
            let call = tokio::time::timeout(
                Duration::from_millis(1 + tenant % 5 * 5),
                save(name.clone(), 1),
            );
            match call.await {
                Ok(result) => assert!(result.starts_with(&name)),
                Err(_) => assert_eq!(tenant % 5, 0),
            }
        }
    });
    let left = live() - before;
    assert!(left < 50_000, "{left} bytes are left");

    // All at once.
    let at_once = run(async {
        let calls: Vec<_> = (0..TENANTS / 2)
            .map(|tenant| tokio::spawn(save(format!("number {tenant}"), 1)))
            .collect();
        tokio::task::yield_now().await;
        let at_once = live() - before;
        for (tenant, call) in calls.into_iter().enumerate() {
            assert_eq!(call.await.unwrap(), format!("number {tenant}1"));
        }
        at_once
    });
    let left = live() - before;
    assert!(
        at_once > TENANTS as isize * 100,
        "this measures nothing: {at_once}"
    );
    // A shard keeps room for a few groups.
    assert!(left < 300_000, "{left} of {at_once} bytes are left");
    println!("{at_once} bytes at once, {left} are left");
}
