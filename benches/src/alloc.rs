//! A global allocator that counts while it is told to, and costs one relaxed load while it is not.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
};

pub(crate) struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

/// Whether this lap is counted; what would disturb a timed one is done in such laps only.
pub(crate) fn counting() -> bool {
    ON.load(Relaxed)
}

pub(crate) fn count(on: bool) {
    ON.store(on, Relaxed);
}

/// Allocations so far, reallocations included.
pub(crate) fn allocations() -> f64 {
    ALLOCATIONS.load(Relaxed) as f64
}

/// Bytes allocated and not freed so far. Only differences mean something.
pub(crate) fn live() -> f64 {
    LIVE.load(Relaxed) as f64
}

fn note(allocations: u64, bytes: i64) {
    if counting() {
        ALLOCATIONS.fetch_add(allocations, Relaxed);
        LIVE.fetch_add(bytes, Relaxed);
    }
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(1, new_size as i64 - layout.size() as i64);
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}
