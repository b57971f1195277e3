//! What the frames of a thread and the graph of waits have in common.

/// An execution: its table's address and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Execution {
    pub(crate) table: usize,
    pub(crate) id: u64,
}

impl Execution {
    /// What batches wait for that may not start yet, and what bulk calls hold. Tables are aligned, so no execution has this
    /// address.
    pub(crate) fn limiter(address: usize, id: u64) -> Self {
        Self {
            table: address | 1,
            id,
        }
    }
}

/// One poll of an execution that a thread is inside of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) execution: Execution,
    /// The limiters that it holds: batches that wait for one of them wait for this execution.
    pub(crate) held: Vec<Execution>,
}
