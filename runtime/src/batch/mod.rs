//! `#[batch]`: gathers calls with one item each into bulk calls.
//!
//! A call passes through these files in this order. Its [`item`](mod@item) [`join`]s: the [`Site`](crate::site::Site) beside the
//! annotated function finds the [`table`] of this monomorphisation, and the table finds the [`group`] of the call's key, in whose
//! open batch the item gets a place. From then on the call is the future [`seat`]. The call that opened the batch has given it a
//! [`task`], which is a new one or an [`idle`] one. The task runs the bulk call, splits its [`results`] among the items, and
//! hands them to the callers through the part of the batch that these have [`shared`].
//!
//! Beside this way: [`limits`] are the options that each batch reads when it opens, [`start`] and [`permit`] are the option
//! `limit`, [`many`] is the option `many`, [`inherit`] is the seat that the leader of a loader leaves to the next leader, and
//! [`listed`] is a table as stats and flushes see it.

mod group;
mod idle;
pub(crate) mod inherit;
mod item;
mod join;
mod limits;
mod listed;
pub(crate) mod many;
#[cfg(test)]
mod models;
pub(crate) mod permit;
pub(crate) mod results;
mod seat;
mod shared;
mod start;
mod table;
mod task;

pub use self::inherit::{Heir, Inherited};
pub use self::item::{Item, item, lazily, weight};
pub use self::limits::Limits;
pub use self::results::{Results, WrongNumber};
pub use self::seat::{OrFailed, Pollable, Seat, or_failed};
pub use self::start::{Grant, Permit, Start};
pub use self::table::Table as Groups;
