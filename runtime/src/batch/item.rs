//! An item, with its weight and its unique value.

use std::hash::Hash;

use crate::bounds::{Always, Never, Nothing};

/// An item with its weight and its unique value.
#[derive(Debug)]
pub struct Item<T, U = ()> {
    pub(super) item: T,
    pub(super) weight: u64,
    pub(super) unique: Option<U>,
}

impl<T> Item<T> {
    /// An item that weighs nothing.
    pub fn new(item: T) -> Self {
        Self {
            item,
            weight: 0,
            unique: None,
        }
    }
}

impl<T, U> Item<T, U> {
    /// Sets what counts towards `max_weight`.
    pub fn weight(mut self, weight: u64) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the value by which the items of a bulk call are sorted.
    pub fn sort_by<O: Ord + Send + 'static>(self, order: O) -> Item<(O, T), U> {
        Item {
            item: (order, self.item),
            weight: self.weight,
            unique: self.unique,
        }
    }

    /// Sets the value that no two items of a batch have in common.
    pub fn unique<V: Hash + Eq + Send + 'static>(self, unique: V) -> Item<T, V> {
        Item {
            item: self.item,
            weight: self.weight,
            unique: Some(unique),
        }
    }
}

/// What a caller of a batch hands in.
#[diagnostic::on_unimplemented(
    message = "`{T}`, the item type of this batch, must be `Send + 'static`, since the bulk call runs in its own task",
    label = "`{T}` is not `Send + 'static`",
    note = "use types that may be sent to other threads, for example `Arc` instead of `Rc`; for a type parameter, add the bounds `Send + 'static`"
)]
pub trait SendableOf<T, M> {
    /// The item.
    type Item;
    /// The item.
    fn item(self) -> Self::Item;
}

/// Makes an item. An expansion calls this with the span of the argument, so that errors point there.
pub fn item<T, M>(item: T) -> <Item<T> as SendableOf<T, M>>::Item
where
    Item<T>: SendableOf<T, M>,
{
    SendableOf::item(Item::new(item))
}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> SendableOf<T, Always> for Item<T> {
    type Item = Self;
    fn item(self) -> Self {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<T: Nothing> SendableOf<T, Never> for Item<T> {
    type Item = Self;
    fn item(self) -> Self {
        self
    }
}

/// An item that is made once it is likely to get a place.
#[derive(Debug)]
pub struct Lazy<F> {
    pub(super) max_waiting: usize,
    pub(super) item: F,
}

/// An item of a function with `max_waiting`. A limit of 0, which would refuse every call, counts as 1.
pub fn lazily<T, U, F: FnOnce() -> Item<T, U>>(max_waiting: usize, item: F) -> Lazy<F> {
    Lazy {
        max_waiting: max_waiting.max(1),
        item,
    }
}

/// A weight, as a closure gives it.
#[diagnostic::on_unimplemented(
    message = "`weight` takes a closure that returns an integer, for example `|row| row.len()`, not a `{Self}`",
    label = "not an integer"
)]
pub trait Weight {
    /// In the unit of `max_weight`.
    fn weight(self) -> u64;
}

macro_rules! weights {
    ($($int:ty)*) => {$(
        impl Weight for $int {
            fn weight(self) -> u64 {
                u64::try_from(self).unwrap_or(0)
            }
        }
    )*};
}
weights!(u8 u16 u32 u64 usize i32);

/// An item's weight.
pub fn weight<T, W: Weight>(item: &T, weight: impl FnOnce(&T) -> W) -> u64 {
    weight(item).weight()
}
