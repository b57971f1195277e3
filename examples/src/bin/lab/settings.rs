//! What the sliders of the page set. The attributes read `size` and `delay_ms` when a batch opens.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

/// The settings as the page sends and shows them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Values {
    /// Requests per second, half of them reads and half of them writes.
    pub(crate) rate: u64,
    /// How many requests each service takes at the same time. It refuses further ones.
    pub(crate) callers: u64,
    pub(crate) size: u64,
    pub(crate) delay_ms: u64,
    pub(crate) eager: bool,
    /// The exponent of the Zipf distribution of keys, in hundredths.
    pub(crate) skew: u64,
    /// The time that the database takes for a query.
    pub(crate) latency_ms: u64,
}

pub(crate) struct Settings {
    rate: AtomicU64,
    callers: AtomicU64,
    size: AtomicU64,
    delay_ms: AtomicU64,
    eager: AtomicBool,
    skew: AtomicU64,
    latency_ms: AtomicU64,
}

pub(crate) static SETTINGS: Settings = Settings {
    rate: AtomicU64::new(400),
    callers: AtomicU64::new(200),
    size: AtomicU64::new(10),
    delay_ms: AtomicU64::new(10),
    eager: AtomicBool::new(false),
    skew: AtomicU64::new(120),
    latency_ms: AtomicU64::new(30),
};

impl Settings {
    pub(crate) fn values(&self) -> Values {
        Values {
            rate: self.rate.load(Relaxed),
            callers: self.callers.load(Relaxed),
            size: self.size.load(Relaxed),
            delay_ms: self.delay_ms.load(Relaxed),
            eager: self.eager.load(Relaxed),
            skew: self.skew.load(Relaxed),
            latency_ms: self.latency_ms.load(Relaxed),
        }
    }

    pub(crate) fn set(&self, values: &Values) {
        self.rate.store(values.rate.clamp(1, 5_000), Relaxed);
        self.callers.store(values.callers.clamp(1, 2_000), Relaxed);
        self.size.store(values.size.clamp(1, 1_000), Relaxed);
        self.delay_ms.store(values.delay_ms.min(200), Relaxed);
        self.eager.store(values.eager, Relaxed);
        self.skew.store(values.skew.min(300), Relaxed);
        self.latency_ms
            .store(values.latency_ms.clamp(1, 500), Relaxed);
    }

    pub(crate) fn size(&self) -> usize {
        self.size.load(Relaxed) as usize
    }

    pub(crate) fn delay_ms(&self) -> u64 {
        self.delay_ms.load(Relaxed)
    }
}
