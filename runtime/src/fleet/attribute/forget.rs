//! Calls that forget the flight with their key, in all processes, and run nothing.

use std::cell::Cell;

use crate::dedup;
use crate::fleet::Forgotten;

thread_local! {
    /// What the call that only forgets has begun.
    static FORGOTTEN: Cell<Option<Forgotten>> = const { Cell::new(None) };
}

/// Has a call forget the flight with its key, in all processes, instead of running.
pub fn forget<F: Future>(call: F) -> Forgotten {
    FORGOTTEN.set(None);
    dedup::forget(call);
    FORGOTTEN.take().unwrap_or_else(Forgotten::done)
}

/// Says what a call that only forgets has begun.
pub(super) fn begun(forgotten: Option<Forgotten>) {
    FORGOTTEN.set(forgotten);
}
