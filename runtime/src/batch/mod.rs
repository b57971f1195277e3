//! `#[batch]`: a function written as a bulk call is called with one item.
//!
//! A call goes through these files in this order. The [`Site`] beside the annotated function finds the [`table`] of this
//! monomorphisation, and there the [`group`] of the call's key, in whose open batch the item gets a place. The call then is
//! a [`seat`]. Whoever opened the batch gave it a [`task`], a new one or one of the [`askers`], which runs the bulk call; its
//! [`results`] are handed out through the batch's [`cell`].

mod askers;
mod cell;
mod group;
pub(crate) mod inherit;
pub(crate) mod item;
mod join;
mod limits;
mod listed;
pub(crate) mod many;
#[cfg(test)]
mod models;
pub(crate) mod permit;
pub(crate) mod results;
mod seat;
mod start;
mod table;
mod task;

pub use self::inherit::{Heir, Inherited};
pub use self::item::{Item, item, lazily, weight};
pub use self::limits::Limits;
pub use self::results::{Results, WrongNumber};
pub use self::seat::{OrFailed, Place, Seat, or_failed};
pub use self::start::{Grant, Permit, Start};
pub use self::table::Table as Groups;
