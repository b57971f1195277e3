//! Calls from inside an execution: which executions are being polled, and which wait for which.
//!
//! An *execution* is one run of a flight's body or one bulk call. A body may call annotated functions in turn, and so wait
//! for a flight that another call leads, or for a batch. Executions that wait for each other, over any number of steps,
//! would do so for ever.
//!
//! [`frames`] knows which executions the current thread is polling. [`waits`] is a graph with one edge per wait that began
//! inside an execution. Whether a wait would close a circle is a question of reachability, and it is asked only there: a
//! call that is made outside of any execution pays for one look at its thread's depth.

mod execution;
pub(crate) mod frames;
mod graph;
pub(crate) mod waits;

pub(crate) use self::execution::Execution;
