//! The same as `spans.rs` without the feature `tracing`: everything has size zero and does nothing.

use std::time::Duration;

use super::Ended;

pub(super) const ON: bool = false;

#[derive(Debug)]
pub(super) struct ExecutionSpan;

impl ExecutionSpan {
    pub(super) const NONE: Self = Self;

    #[inline(always)]
    pub(super) fn dedup(_: &str) -> Self {
        Self
    }

    #[inline(always)]
    pub(super) fn batch(_: &str, _: CallerList, _: u64, _: &str, _: Option<Duration>) -> Self {
        Self
    }

    #[inline(always)]
    pub(super) fn within<R>(&self, poll: impl FnOnce() -> R) -> R {
        poll()
    }

    #[inline(always)]
    pub(super) fn serves(&self, _: &Callers) {}

    #[inline(always)]
    pub(super) fn ends(&mut self, _: Ended, _: u64) {}
}

#[derive(Debug)]
pub(crate) struct Caller;

#[derive(Debug, Default)]
pub(crate) struct Noted;

impl Caller {
    #[inline(always)]
    pub(crate) fn current() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn noted(&self) -> Noted {
        Noted
    }

    #[inline(always)]
    pub(crate) fn take(&mut self) -> Self {
        Self
    }
}

#[derive(Debug)]
pub(super) struct CallerList;

impl CallerList {
    #[inline(always)]
    pub(super) fn with_capacity(_: usize) -> Self {
        Self
    }

    #[inline(always)]
    pub(super) fn push(&mut self, _: &mut Caller) {}
}

#[derive(Debug, Default)]
pub(crate) struct Callers(Warned);

impl Callers {
    #[inline(always)]
    pub(crate) fn add(&self, caller: Caller) -> Caller {
        caller
    }

    #[inline(always)]
    pub(crate) fn remove(&self, _: &mut Noted) {}

    pub(crate) fn warned(&self) -> &Warned {
        &self.0
    }
}

#[derive(Debug, Default)]
pub(crate) struct Warned(());

impl Warned {
    pub(crate) fn stalled(&self, _: &str) {}

    pub(crate) fn long(&self, _: &str) {}

    pub(crate) fn runtime_gone(&self, _: &str) {}
}

#[inline(always)]
pub(super) fn refused(_: &str) {}

#[cfg(feature = "fleet")]
pub(super) fn in_fleet(_: &'static str) {}
