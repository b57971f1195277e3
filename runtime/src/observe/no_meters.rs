//! The same as `meters.rs` without the feature `metrics`: everything has size zero and does nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::Kind;

pub(super) const ON: bool = false;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Began;

impl Began {
    #[inline(always)]
    pub(crate) fn now() -> Self {
        Self
    }
}

#[derive(Debug)]
pub(super) struct Waiting;

impl Waiting {
    pub(super) const NONE: Self = Self;

    #[inline(always)]
    pub(super) fn of(_: Began) -> Self {
        Self
    }

    #[inline(always)]
    pub(super) fn ends(&mut self, _: &Metrics) {}
}

#[derive(Debug)]
pub(super) struct Times;

impl Times {
    #[inline(always)]
    pub(super) fn with_capacity(_: usize) -> Self {
        Self
    }

    #[inline(always)]
    pub(super) fn push(&mut self, _: Instant) {}
}

#[derive(Debug)]
pub(super) struct Metrics;

impl Metrics {
    pub(super) fn new(_: &str, _: Kind) -> Self {
        Self
    }

    #[inline(always)]
    pub(super) fn called(&self) {}

    #[cfg(feature = "fleet")]
    pub(super) fn in_fleet(&self, _: &'static str) {}

    pub(super) fn refused(&self) {}

    #[inline(always)]
    pub(super) fn shared(&self, _: u64) {}

    #[inline(always)]
    pub(super) fn executes(&self) -> Gauge {
        Gauge
    }

    #[inline(always)]
    pub(super) fn batch_size(&self, _: u64) {}

    #[inline(always)]
    pub(super) fn begins(&self, _: Began) {}

    #[inline(always)]
    pub(super) fn all_begin(&self, _: Times) {}

    #[inline(always)]
    pub(super) fn waited_for_permit(&self, _: Duration) {}
}

#[derive(Debug)]
pub(super) struct Gauge;

impl Gauge {
    pub(super) const NONE: Self = Self;

    #[inline(always)]
    pub(super) fn ends(&mut self) {}
}
