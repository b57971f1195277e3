//! All that an expansion may name. Not for users: it changes without notice.

pub use crate::batch::{Batches, Groups, Item, Limits, Results, Seat, WrongNumber};
pub use crate::dedup::{
    Call, CloneWith, Cloned, Flights, IsResult, Joining, Run, Share, ShareErr, Table,
};
pub use crate::fixed::Fixed;
pub use crate::key::{Key, Part, RefPart, ValuePart, part};
pub use crate::path::Path;

/// The waker of the task that is being polled.
pub async fn waker() -> std::task::Waker {
    std::future::poll_fn(|cx| std::task::Poll::Ready(cx.waker().clone())).await
}
