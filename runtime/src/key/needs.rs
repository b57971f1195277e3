//! What a part of a key needs, in words that fit what the part is of: the key of `#[dedup]`, the group of `#[batch]`, or
//! the item of a function that has both attributes.
//!
//! Each bound is a trait of its own, so that the message names the one that is missing. A step's result is what the next
//! step is asked of: a step that fails gives an error type, of which the compiler says no more. `M` is explained in
//! [`bounds`](crate::bounds).

use super::{About, ByRef, ByValue, Key, OptRef, SliceRef};
use crate::bounds::{Always, Never, Nothing};
use std::hash::Hash;

macro_rules! steps {
    ($($(#[$attribute:meta])* $step:ident;)*) => {$(
        $(#[$attribute])*
        pub trait $step<A: ?Sized, M> {
            /// The part itself.
            type Next;
            /// The part itself.
            fn next(self) -> Self::Next;
        }
    )*};
}

/// The last step, with which a part is a [`Key`]; for a receiver, which has its own ways out, the only one.
macro_rules! last_steps {
    ($($(#[$attribute:meta])* $step:ident;)*) => {$(
        $(#[$attribute])*
        pub trait $step<A: ?Sized, M> {
            /// The part itself.
            type Part: Key;
            /// The part itself.
            fn part(self) -> Self::Part;
        }
    )*};
}

steps! {
    /// A part of a key that is hashed.
    #[diagnostic::on_unimplemented(
        message = "`{A}` can't be part of the key, since it is not `Hash`",
        label = "`{A}` is not `Hash`",
        note = "if the result does not depend on it (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the key",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds; for a float, write `key(… = ….to_bits())`",
        note = "or compare calls by part of the argument with `key(… = …)`"
    )]
    HashOf;
    /// A part of a key that is compared.
    #[diagnostic::on_unimplemented(
        message = "`{A}` can't be part of the key, since it is not `Eq`",
        label = "`{A}` is not `Eq`",
        note = "if the result does not depend on it (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the key",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds",
        note = "or compare calls by part of the argument with `key(… = …)`"
    )]
    EqOf;
    /// A part of a key that is kept.
    #[diagnostic::on_unimplemented(
        message = "`{A}` can't be part of the key, since it is not `Clone`",
        label = "`{A}` is not `Clone`",
        note = "if the result does not depend on it (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the key",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds",
        note = "or compare calls by part of the argument with `key(… = …)`"
    )]
    OwnedOf;
    /// A part of a group that is hashed.
    #[diagnostic::on_unimplemented(
        message = "`{A}` can't be part of the group, since it is not `Hash`",
        label = "`{A}` is not `Hash`",
        note = "calls share a batch only if all arguments except the items are equal; if the result does not depend on this one (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the group",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds; for a float, write `key(… = ….to_bits())`",
        note = "or compare calls by part of the argument with `key(… = …)`"
    )]
    HashInGroup;
    /// A part of a group that is compared.
    #[diagnostic::on_unimplemented(
        message = "`{A}` can't be part of the group, since it is not `Eq`",
        label = "`{A}` is not `Eq`",
        note = "calls share a batch only if all arguments except the items are equal; if the result does not depend on this one (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the group",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds",
        note = "or compare calls by part of the argument with `key(… = …)`"
    )]
    EqInGroup;
    /// A part of a group that is kept.
    #[diagnostic::on_unimplemented(
        message = "`{A}` can't be part of the group, since it is not `Clone`",
        label = "`{A}` is not `Clone`",
        note = "calls share a batch only if all arguments except the items are equal; if the result does not depend on this one (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the group",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds",
        note = "or compare calls by part of the argument with `key(… = …)`"
    )]
    OwnedInGroup;
    /// An item that is hashed.
    #[diagnostic::on_unimplemented(
        message = "`{A}`, the item type of this function, must be `Hash`, since `#[dedup]` compares items",
        label = "`{A}` is not `Hash`",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds; for a float, take its `to_bits()` as the item",
        note = "or remove `#[dedup]`: a bulk call then gets equal items more than once"
    )]
    HashOfItem;
    /// An item that is compared.
    #[diagnostic::on_unimplemented(
        message = "`{A}`, the item type of this function, must be `Eq`, since `#[dedup]` compares items",
        label = "`{A}` is not `Eq`",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds",
        note = "or remove `#[dedup]`: a bulk call then gets equal items more than once"
    )]
    EqOfItem;
    /// An item that is kept.
    #[diagnostic::on_unimplemented(
        message = "`{A}`, the item type of this function, must be `Clone`, since `#[dedup]` keeps a copy to compare items with",
        label = "`{A}` is not `Clone`",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds",
        note = "or remove `#[dedup]`: a bulk call then gets equal items more than once"
    )]
    OwnedOfItem;
}

last_steps! {
    /// A part of a key.
    #[diagnostic::on_unimplemented(
        message = "`{A}` can't be part of the key, since it is not `Send + Sync + 'static`",
        label = "`{A}` is not `Send + Sync + 'static`",
        note = "if the result does not depend on it (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the key",
        note = "use types that may be shared between threads, for example `Arc` instead of `Rc` (for a type parameter, add `Send + Sync + 'static` to its bounds)",
        note = "or compare calls by part of the argument with `key(… = …)`"
    )]
    KeyOf;
    /// A receiver in a key.
    #[diagnostic::on_unimplemented(
        message = "`self` is part of the key, but `{A}` is not `Hash + Eq + Clone + Send + Sync + 'static`",
        label = "`{A}` can't be part of the key",
        note = "if the result depends on some of its fields, write `key(self = self.…)`, for example `key(self = self.tenant)`",
        note = "if instances must not share calls, add a field of type `piggyback::Scope` and write `scope = self.…`",
        note = "if the result does not depend on `self` at all, write `skip(self)`; users, tenants, permissions and locales must stay in the key"
    )]
    SelfKeyOf;
    /// A part of a group.
    #[diagnostic::on_unimplemented(
        message = "`{A}` can't be part of the group, since it is not `Send + Sync + 'static`",
        label = "`{A}` is not `Send + Sync + 'static`",
        note = "calls share a batch only if all arguments except the items are equal; if the result does not depend on this one (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the group",
        note = "use types that may be shared between threads, for example `Arc` instead of `Rc` (for a type parameter, add `Send + Sync + 'static` to its bounds)",
        note = "or compare calls by part of the argument with `key(… = …)`"
    )]
    InGroup;
    /// A receiver in a group.
    #[diagnostic::on_unimplemented(
        message = "`self` is part of the group, but `{A}` is not `Hash + Eq + Clone + Send + Sync + 'static`",
        label = "`{A}` can't be part of the group",
        note = "if the result depends on some of its fields, write `key(self = self.…)`, for example `key(self = self.tenant)`",
        note = "if instances must not share batches, add a field of type `piggyback::Scope` and write `scope = self.…`",
        note = "if the result does not depend on `self` at all, write `skip(self)`; users, tenants, permissions and locales must stay in the group"
    )]
    SelfInGroup;
    /// An item.
    #[diagnostic::on_unimplemented(
        message = "`{A}`, the item type of this function, must be `Send + Sync + 'static`, since calls on other threads can share it",
        label = "`{A}` is not `Send + Sync + 'static`",
        note = "use types that may be shared between threads, for example `Arc` instead of `Rc` (for a type parameter, add `Send + Sync + 'static` to its bounds)"
    )]
    KeyOfItem;
}

/// Two implementations of each step for each kind of part.
macro_rules! key_of {
    ($($part:ty, $argument:ident: [$($sized:tt)*] [$($owned:tt)*] [$($bounds:tt)*];)*) => {$(
        impl<$argument $($sized)*> About for $part {
            type Argument = $argument;
        }

        key_of!(step [HashOf HashInGroup HashOfItem] $part, $argument: [$($sized)*] [+ Hash]);
        key_of!(step [EqOf EqInGroup EqOfItem] $part, $argument: [$($sized)*] [+ Eq]);
        key_of!(step [OwnedOf OwnedInGroup OwnedOfItem] $part, $argument: [$($sized)*] [$($owned)*]);
        key_of!(
            last [KeyOf SelfKeyOf InGroup SelfInGroup KeyOfItem]
            $part, $argument: [$($sized)*] [$($bounds)*]
        );
    )*};
    (step [$($step:ident)*] $part:ty, $argument:ident: $sized:tt $bounds:tt) => {$(
        key_of!(one $step next Next (Self) $part, $argument: $sized $bounds);
    )*};
    (last [$($step:ident)*] $part:ty, $argument:ident: $sized:tt $bounds:tt) => {$(
        key_of!(one $step part Part (()) $part, $argument: $sized $bounds);
    )*};
    (
        one $step:ident $itself:ident $Itself:ident ($never:ty)
        $part:ty, $argument:ident: [$($sized:tt)*] [$($bounds:tt)*]
    ) => {
        #[diagnostic::do_not_recommend]
        impl<$argument $($sized)* $($bounds)*> $step<$argument, Always> for $part {
            type $Itself = Self;
            #[inline]
            fn $itself(self) -> Self {
                self
            }
        }

        #[diagnostic::do_not_recommend]
        impl<$argument $($sized)* + Nothing> $step<$argument, Never> for $part {
            type $Itself = $never;
            fn $itself(self) -> $never {
                unreachable!("nothing is `Nothing`")
            }
        }
    };
}

key_of! {
    ByValue<'_, A>, A: [: Sized] [+ Clone] [+ Hash + Eq + Clone + Send + Sync + 'static];
    ByRef<'_, B>, B: [: ?Sized] [+ ToOwned] [+ Hash + Eq + ToOwned<Owned: Send + Sync + 'static>];
    OptRef<'_, B>, B: [: ?Sized] [+ ToOwned] [+ Hash + Eq + ToOwned<Owned: Send + Sync + 'static>];
    SliceRef<'_, '_, B>, B: [: ?Sized] [+ ToOwned] [+ Hash + Eq + ToOwned<Owned: Send + Sync + 'static>];
}

type Hashed<K, M> = <K as HashOf<<K as About>::Argument, M>>::Next;
type Compared<K, M, N> = <Hashed<K, M> as EqOf<<K as About>::Argument, N>>::Next;
type Kept<K, M, N, O> = <Compared<K, M, N> as OwnedOf<<K as About>::Argument, O>>::Next;

/// An argument's part of the key. An expansion calls it with the argument's span, so that errors point there.
pub fn part<K, M, N, O, P>(part: K) -> <Kept<K, M, N, O> as KeyOf<K::Argument, P>>::Part
where
    K: About + HashOf<K::Argument, M>,
    Hashed<K, M>: EqOf<K::Argument, N>,
    Compared<K, M, N>: OwnedOf<K::Argument, O>,
    Kept<K, M, N, O>: KeyOf<K::Argument, P>,
{
    part.next().next().next().part()
}

/// A receiver's part of the key.
pub fn self_part<K, M>(part: K) -> <K as SelfKeyOf<K::Argument, M>>::Part
where
    K: About + SelfKeyOf<K::Argument, M>,
{
    part.part()
}

type HashedInGroup<K, M> = <K as HashInGroup<<K as About>::Argument, M>>::Next;
type ComparedInGroup<K, M, N> = <HashedInGroup<K, M> as EqInGroup<<K as About>::Argument, N>>::Next;
type KeptInGroup<K, M, N, O> =
    <ComparedInGroup<K, M, N> as OwnedInGroup<<K as About>::Argument, O>>::Next;

/// An argument's part of the group.
pub fn group_part<K, M, N, O, P>(
    part: K,
) -> <KeptInGroup<K, M, N, O> as InGroup<K::Argument, P>>::Part
where
    K: About + HashInGroup<K::Argument, M>,
    HashedInGroup<K, M>: EqInGroup<K::Argument, N>,
    ComparedInGroup<K, M, N>: OwnedInGroup<K::Argument, O>,
    KeptInGroup<K, M, N, O>: InGroup<K::Argument, P>,
{
    part.next().next().next().part()
}

/// A receiver's part of the group.
pub fn self_group_part<K, M>(part: K) -> <K as SelfInGroup<K::Argument, M>>::Part
where
    K: About + SelfInGroup<K::Argument, M>,
{
    part.part()
}

type HashedItem<K, M> = <K as HashOfItem<<K as About>::Argument, M>>::Next;
type ComparedItem<K, M, N> = <HashedItem<K, M> as EqOfItem<<K as About>::Argument, N>>::Next;
type KeptItem<K, M, N, O> = <ComparedItem<K, M, N> as OwnedOfItem<<K as About>::Argument, O>>::Next;

/// An item, as a part of the key.
pub fn item_part<K, M, N, O, P>(
    part: K,
) -> <KeptItem<K, M, N, O> as KeyOfItem<K::Argument, P>>::Part
where
    K: About + HashOfItem<K::Argument, M>,
    HashedItem<K, M>: EqOfItem<K::Argument, N>,
    ComparedItem<K, M, N>: OwnedOfItem<K::Argument, O>,
    KeptItem<K, M, N, O>: KeyOfItem<K::Argument, P>,
{
    part.next().next().next().part()
}
