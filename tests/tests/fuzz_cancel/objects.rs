//! Keys, items, values and wakers that are counted, and whose callbacks may panic.

use std::any::Any;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::task::{RawWaker, RawWakerVTable, Waker};

/// xorshift64*.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds far apart, and never zero.
        let mut random =
            Self((seed ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9) | 1);
        random.next();
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 33) % n
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn fork(&mut self) -> Self {
        Self::new(self.next())
    }
}

/// A callback of the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callback {
    KeyHash,
    KeyEq,
    KeyClone,
    KeyDrop,
    ValueClone,
    ValueDrop,
    ItemHash,
    ItemEq,
    ItemClone,
    ItemDrop,
    WakerClone,
    WakerWake,
    WakerDrop,
    ShareErr,
    Unique,
    Weight,
    Limits,
}
use Callback::*;

pub const CALLBACKS: u64 = 17;
const ALL: [Callback; CALLBACKS as usize] = [
    KeyHash, KeyEq, KeyClone, KeyDrop, ValueClone, ValueDrop, ItemHash, ItemEq, ItemClone,
    ItemDrop, WakerClone, WakerWake, WakerDrop, ShareErr, Unique, Weight, Limits,
];

thread_local! {
    /// Which callback panics, and after how many calls.
    static FUSE: Cell<Option<(Callback, u64)>> = const { Cell::new(None) };
}

/// Which callback panics, once, and after how many calls.
#[derive(Debug, Clone, Copy)]
pub struct Fuse(Callback, #[allow(dead_code)] u64);

impl Fuse {
    pub fn light(callback: u64, after: u64) -> Self {
        let callback = ALL[callback as usize];
        FUSE.set(Some((callback, after)));
        Self(callback, after)
    }

    pub fn put_out() {
        FUSE.set(None);
    }

    /// Runs what is not to panic.
    pub fn away<R>(act: impl FnOnce() -> R) -> R {
        let fuse = FUSE.take();
        let result = act();
        FUSE.set(fuse);
        result
    }

    pub fn is_of_a_drop(self) -> bool {
        matches!(self.0, KeyDrop | ValueDrop | ItemDrop | WakerDrop)
    }
}

/// The user's code is called.
pub fn called(callback: Callback) {
    let _ = FUSE.try_with(|fuse| match fuse.get() {
        Some((fused, after)) if fused == callback => {
            if after > 0 {
                fuse.set(Some((fused, after - 1)));
            } else if !std::thread::panicking() {
                fuse.set(None);
                panic!("injected in {callback:?}");
            }
        }
        _ => {}
    });
}

pub fn message(payload: &(dyn Any + Send)) -> String {
    match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(said), _) => (*said).into(),
        (_, Some(said)) => said.clone(),
        _ => "?".into(),
    }
}

pub fn silence_injected_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !message(info.payload()).contains("injected") {
            hook(info);
        }
    }));
}

/// The number of objects of a world.
pub type Live = Arc<AtomicI64>;

/// One of them.
#[derive(Debug)]
struct Counted(Live);

impl Counted {
    fn new(live: &Live) -> Self {
        live.fetch_add(1, SeqCst);
        Self(live.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

macro_rules! object {
    ($name:ident, $clone:ident, $drop:ident) => {
        impl Clone for $name {
            fn clone(&self) -> Self {
                called($clone);
                Self {
                    counted: Counted::new(&self.counted.0),
                    ..*self
                }
            }
        }
        impl Drop for $name {
            fn drop(&mut self) {
                called($drop);
            }
        }
    };
    ($name:ident, $clone:ident, $drop:ident, $hash:ident, $eq:ident) => {
        object!($name, $clone, $drop);
        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                called($hash);
                self.key.hash(state);
            }
        }
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                called($eq);
                self.key == other.key
            }
        }
        impl Eq for $name {}
    };
}

#[derive(Debug)]
pub struct Key {
    pub key: u64,
    counted: Counted,
}
object!(Key, KeyClone, KeyDrop, KeyHash, KeyEq);

#[derive(Debug)]
pub struct Item {
    pub id: u64,
    pub key: u64,
    pub weight: u64,
    pub bad: bool,
    counted: Counted,
}
object!(Item, ItemClone, ItemDrop, ItemHash, ItemEq);

#[derive(Debug)]
pub struct Value {
    /// Its key, or its item.
    pub of: u64,
    pub execution: usize,
    counted: Counted,
}
object!(Value, ValueClone, ValueDrop);

impl Key {
    pub fn new(live: &Live, key: u64) -> Self {
        let counted = Counted::new(live);
        Self { key, counted }
    }
}

impl Item {
    pub fn new(live: &Live, id: u64, key: u64, weight: u64, bad: bool) -> Self {
        let counted = Counted::new(live);
        Self {
            id,
            key,
            weight,
            bad,
            counted,
        }
    }
}

impl Value {
    pub fn new(live: &Live, of: u64, execution: usize) -> Self {
        let counted = Counted::new(live);
        Self {
            of,
            execution,
            counted,
        }
    }
}

/// Not `Clone`.
#[derive(Debug)]
pub enum Error {
    Of(Value),
    Shared(Arc<Self>),
}

impl Error {
    pub fn shared(error: Arc<Self>) -> Self {
        called(ShareErr);
        Self::Shared(error)
    }

    pub fn execution(&self) -> usize {
        match self {
            Self::Of(value) => value.execution,
            Self::Shared(error) => error.execution(),
        }
    }
}

/// Whether a caller has been woken.
pub struct Flag(AtomicBool);

impl Flag {
    pub fn new(woken: bool) -> Self {
        Self(AtomicBool::new(woken))
    }
    pub fn get(&self) -> bool {
        self.0.load(SeqCst)
    }
    pub fn set(&self, woken: bool) {
        self.0.store(woken, SeqCst);
    }

    /// A waker all of whose functions may panic, when their work is done.
    pub fn waker(flag: &Arc<Self>) -> Waker {
        let raw = Arc::into_raw(flag.clone()).cast();
        // SAFETY: the table's functions keep the count of the `Arc` that the pointer came from.
        unsafe { Waker::from_raw(RawWaker::new(raw, &TABLE)) }
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(
    |flag| {
        called(WakerClone);
        // SAFETY: from `Arc::into_raw`, and this waker holds one count.
        unsafe { Arc::increment_strong_count(flag.cast::<Flag>()) };
        RawWaker::new(flag, &TABLE)
    },
    |flag| {
        // SAFETY: from `Arc::into_raw`; the count of this waker goes.
        unsafe { Arc::from_raw(flag.cast::<Flag>()) }.set(true);
        called(WakerWake);
    },
    |flag| {
        // SAFETY: from `Arc::into_raw`, and this waker holds one count.
        unsafe { &*flag.cast::<Flag>() }.set(true);
        called(WakerWake);
    },
    |flag| {
        // SAFETY: from `Arc::into_raw`; the count of this waker goes.
        drop(unsafe { Arc::from_raw(flag.cast::<Flag>()) });
        called(WakerDrop);
    },
);
