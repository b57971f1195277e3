//! What a part of a key needs, in words that fit what the part is of: the key of `#[dedup]`, the group of `#[batch]`, or
//! the item of a function that has both attributes.
//!
//! Each bound is a trait of its own, so that the message names the one that is missing. A step's result is what the next
//! step is asked of: a step that fails gives an error type, of which the compiler says no more. `M` is explained in
//! [`bounds`](crate::bounds).

use super::{About, ByRef, ByValue, Key, OptRef, SliceRef};
use crate::bounds::{Always, Never, Nothing, Output};
use std::hash::Hash;

/// A trait for each step, with its message, its label and its notes. A `part` is the last step, with which a part is a [`Key`];
/// a receiver, which has its own ways out, needs no other. The notes in brackets come before and after those of each step.
macro_rules! steps {
    ($($before:tt $after:tt { $($(#[$doc:meta])* $kind:ident $step:ident $words:tt)* })*) => {$($(
        steps!($kind $before $after [$(#[$doc])*] $step $words);
    )*)*};
    (next $($step:tt)*) => {
        steps!(Next next [] $($step)*);
    };
    (part $($step:tt)*) => {
        steps!(Part part [: Key] $($step)*);
    };
    (
        $Itself:ident $itself:ident [$($key:tt)*] [$($before:tt)*] [$($after:tt)*]
        [$(#[$doc:meta])*] $step:ident { $message:tt $label:tt $($note:tt)* }
    ) => {
        $(#[$doc])*
        #[diagnostic::on_unimplemented(
            message = $message,
            label = $label,
            $(note = $before,)*
            $(note = $note,)*
            $(note = $after,)*
        )]
        pub trait $step<A: ?Sized, M> {
            /// The part itself.
            type $Itself $($key)*;
            /// The part itself.
            fn $itself(self) -> Self::$Itself;
        }
    };
}

steps! {
    ["if the result does not depend on it, write `skip(…)`: a pool or a client, if the process has only one (if it has several, write `key(… = …)` with a value that tells them apart); users, tenants, permissions and locales must stay in the key"]
    ["or compare calls by part of the argument with `key(… = …)`"]
    {
        /// A part of a key that is hashed.
        next HashOf {
            "`{A}` can't be part of the key, since it is not `Hash`"
            "`{A}` is not `Hash`"
            "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds; for a float, write `key(… = ….to_bits())`"
        }
        /// A part of a key that is compared.
        next EqOf {
            "`{A}` can't be part of the key, since it is not `Eq`"
            "`{A}` is not `Eq`"
            "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds"
        }
        /// A part of a key that is kept.
        next OwnedOf {
            "`{A}` can't be part of the key, since it is not `Clone`"
            "`{A}` is not `Clone`"
            "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds"
        }
        /// A part of a key.
        part KeyOf {
            "`{A}` can't be part of the key, since it is not `Send + Sync + 'static`"
            "`{A}` is not `Send + Sync + 'static`"
            "use types that may be shared between threads, for example `Arc` instead of `Rc` (for a type parameter, add `Send + Sync + 'static` to its bounds)"
        }
    }
    ["calls share a batch only if all arguments except the items are equal; if the result does not depend on this one, write `skip(…)`: a pool or a client, if the process has only one (if it has several, write `key(… = …)` with a value that tells them apart); users, tenants, permissions and locales must stay in the group"]
    ["or compare calls by part of the argument with `key(… = …)`"]
    {
        /// A part of a group that is hashed.
        next HashInGroup {
            "`{A}` can't be part of the group, since it is not `Hash`"
            "`{A}` is not `Hash`"
            "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds; for a float, write `key(… = ….to_bits())`"
        }
        /// A part of a group that is compared.
        next EqInGroup {
            "`{A}` can't be part of the group, since it is not `Eq`"
            "`{A}` is not `Eq`"
            "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds"
        }
        /// A part of a group that is kept.
        next OwnedInGroup {
            "`{A}` can't be part of the group, since it is not `Clone`"
            "`{A}` is not `Clone`"
            "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds"
        }
        /// A part of a group.
        part InGroup {
            "`{A}` can't be part of the group, since it is not `Send + Sync + 'static`"
            "`{A}` is not `Send + Sync + 'static`"
            "use types that may be shared between threads, for example `Arc` instead of `Rc` (for a type parameter, add `Send + Sync + 'static` to its bounds)"
        }
    }
    []
    ["or remove `#[dedup]`: a bulk call then gets equal items more than once"]
    {
        /// An item that is hashed.
        next HashOfItem {
            "`{A}` must be `Hash`, since `#[dedup]` compares the items of this function"
            "`{A}` is not `Hash`"
            "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds; for a float, take its `to_bits()` as the item"
        }
        /// An item that is compared.
        next EqOfItem {
            "`{A}` must be `Eq`, since `#[dedup]` compares the items of this function"
            "`{A}` is not `Eq`"
            "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds"
        }
        /// An item that is kept.
        next OwnedOfItem {
            "`{A}` must be `Clone`, since `#[dedup]` keeps copies of the items of this function, to compare others with"
            "`{A}` is not `Clone`"
            "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds"
        }
    }
    []
    []
    {
        /// A part of a key that is hashed, and has no order.
        next UnorderedInKey {
            "`{A}` can't be part of the key, since it has no order and so is not `Hash`"
            "`{A}` is not `Hash`"
            "take a `BTreeMap` or a `BTreeSet` instead, or write `key(… = …)` with a value that identifies it"
            "if the result does not depend on it, write `skip(…)`; users, tenants, permissions and locales must stay in the key"
        }
        /// A part of a group that is hashed, and has no order.
        next UnorderedInGroup {
            "`{A}` can't be part of the group, since it has no order and so is not `Hash`"
            "`{A}` is not `Hash`"
            "take a `BTreeMap` or a `BTreeSet` instead, or write `key(… = …)` with a value that identifies it"
            "if the result does not depend on it, write `skip(…)`; users, tenants, permissions and locales must stay in the group"
        }
        /// An item.
        part KeyOfItem {
            "`{A}` must be `Send + Sync + 'static`, since calls on other threads can share the items of this function"
            "`{A}` is not `Send + Sync + 'static`"
            "use types that may be shared between threads, for example `Arc` instead of `Rc` (for a type parameter, add `Send + Sync + 'static` to its bounds)"
        }
        /// A receiver in a key.
        part SelfKeyOf {
            "`self` is part of the key, but `{A}` is not `Hash + Eq + Clone + Send + Sync + 'static`"
            "`{A}` can't be part of the key"
            "if the result depends on some of its fields, write `key(self = self.…)`, for example `key(self = self.tenant)`"
            "if instances must not share calls, add a field of type `piggyback::Scope` and write `scope = self.…`"
            "if the result does not depend on `self` at all, write `skip(self)`; users, tenants, permissions and locales must stay in the key"
        }
        /// A receiver in a group.
        part SelfInGroup {
            "`self` is part of the group, but `{A}` is not `Hash + Eq + Clone + Send + Sync + 'static`"
            "`{A}` can't be part of the group"
            "if the result depends on some of its fields, write `key(self = self.…)`, for example `key(self = self.tenant)`"
            "if instances must not share batches, add a field of type `piggyback::Scope` and write `scope = self.…`"
            "if the result does not depend on `self` at all, write `skip(self)`; users, tenants, permissions and locales must stay in the group"
        }
    }
}

/// Two implementations of each step for each kind of part.
macro_rules! key_of {
    ($($part:ty, $argument:ident: [$($sized:tt)*] [$($owned:tt)*] [$($bounds:tt)*];)*) => {$(
        impl<$argument $($sized)*> About for $part {
            type Argument = $argument;
        }

        key_of!(step [HashOf HashInGroup HashOfItem UnorderedInKey UnorderedInGroup] $part, $argument: [$($sized)*] [+ Hash]);
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
        impl<$argument $($sized)* $($bounds)*, Named: ?Sized> $step<Named, Always> for $part {
            type $Itself = Self;
            #[inline]
            fn $itself(self) -> Self {
                self
            }
        }

        #[diagnostic::do_not_recommend]
        impl<$argument $($sized)* + Nothing, Named: ?Sized> $step<Named, Never> for $part {
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

/// A part of a key after one, two and three steps. `A` is what a message names: the argument's type, or a type in it.
type Hashed<K, A, M> = <K as HashOf<A, M>>::Next;
type Compared<K, A, M, N> = <Hashed<K, A, M> as EqOf<A, N>>::Next;
type Kept<K, A, M, N, O> = <Compared<K, A, M, N> as OwnedOf<A, O>>::Next;

/// An argument's part of the key. An expansion calls it with the argument's span, so that errors point there.
pub fn part<K, M, N, O, P>(
    part: K,
) -> <Kept<K, K::Argument, M, N, O> as KeyOf<K::Argument, P>>::Part
where
    K: About + HashOf<K::Argument, M>,
    Hashed<K, K::Argument, M>: EqOf<K::Argument, N>,
    Compared<K, K::Argument, M, N>: OwnedOf<K::Argument, O>,
    Kept<K, K::Argument, M, N, O>: KeyOf<K::Argument, P>,
{
    part.next().next().next().part()
}

/// The same for a container, whose elements lack what it lacks: `A` is the type that can be changed.
pub fn part_with<A, K, M, N, O, P>(
    _: Output<A>,
    part: K,
) -> <Kept<K, A, M, N, O> as KeyOf<A, P>>::Part
where
    K: HashOf<A, M>,
    Hashed<K, A, M>: EqOf<A, N>,
    Compared<K, A, M, N>: OwnedOf<A, O>,
    Kept<K, A, M, N, O>: KeyOf<A, P>,
{
    part.next().next().next().part()
}

type Unordered<K, A, M> = <K as UnorderedInKey<A, M>>::Next;

/// The same for a map or a set without an order, which `A` is.
pub fn unordered_part_with<A, K, M, N, O, P>(
    _: Output<A>,
    part: K,
) -> <<<Unordered<K, A, M> as EqOf<A, N>>::Next as OwnedOf<A, O>>::Next as KeyOf<A, P>>::Part
where
    K: UnorderedInKey<A, M>,
    Unordered<K, A, M>: EqOf<A, N>,
    <Unordered<K, A, M> as EqOf<A, N>>::Next: OwnedOf<A, O>,
    <<Unordered<K, A, M> as EqOf<A, N>>::Next as OwnedOf<A, O>>::Next: KeyOf<A, P>,
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

type HashedInGroup<K, A, M> = <K as HashInGroup<A, M>>::Next;
type ComparedInGroup<K, A, M, N> = <HashedInGroup<K, A, M> as EqInGroup<A, N>>::Next;
type KeptInGroup<K, A, M, N, O> = <ComparedInGroup<K, A, M, N> as OwnedInGroup<A, O>>::Next;

/// An argument's part of the group.
pub fn group_part<K, M, N, O, P>(
    part: K,
) -> <KeptInGroup<K, K::Argument, M, N, O> as InGroup<K::Argument, P>>::Part
where
    K: About + HashInGroup<K::Argument, M>,
    HashedInGroup<K, K::Argument, M>: EqInGroup<K::Argument, N>,
    ComparedInGroup<K, K::Argument, M, N>: OwnedInGroup<K::Argument, O>,
    KeptInGroup<K, K::Argument, M, N, O>: InGroup<K::Argument, P>,
{
    part.next().next().next().part()
}

/// The same for a container.
pub fn group_part_with<A, K, M, N, O, P>(
    _: Output<A>,
    part: K,
) -> <KeptInGroup<K, A, M, N, O> as InGroup<A, P>>::Part
where
    K: HashInGroup<A, M>,
    HashedInGroup<K, A, M>: EqInGroup<A, N>,
    ComparedInGroup<K, A, M, N>: OwnedInGroup<A, O>,
    KeptInGroup<K, A, M, N, O>: InGroup<A, P>,
{
    part.next().next().next().part()
}

type UnorderedGroup<K, A, M> = <K as UnorderedInGroup<A, M>>::Next;

/// The same for a map or a set without an order, which `A` is.
pub fn unordered_group_part_with<A, K, M, N, O, P>(
    _: Output<A>,
    part: K,
) -> <<<UnorderedGroup<K, A, M> as EqInGroup<A, N>>::Next as OwnedInGroup<A, O>>::Next as InGroup<
    A,
    P,
>>::Part
where
    K: UnorderedInGroup<A, M>,
    UnorderedGroup<K, A, M>: EqInGroup<A, N>,
    <UnorderedGroup<K, A, M> as EqInGroup<A, N>>::Next: OwnedInGroup<A, O>,
    <<UnorderedGroup<K, A, M> as EqInGroup<A, N>>::Next as OwnedInGroup<A, O>>::Next: InGroup<A, P>,
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

type HashedItem<K, A, M> = <K as HashOfItem<A, M>>::Next;
type ComparedItem<K, A, M, N> = <HashedItem<K, A, M> as EqOfItem<A, N>>::Next;
type KeptItem<K, A, M, N, O> = <ComparedItem<K, A, M, N> as OwnedOfItem<A, O>>::Next;

/// An item, as a part of the key.
pub fn item_part<K, M, N, O, P>(
    part: K,
) -> <KeptItem<K, K::Argument, M, N, O> as KeyOfItem<K::Argument, P>>::Part
where
    K: About + HashOfItem<K::Argument, M>,
    HashedItem<K, K::Argument, M>: EqOfItem<K::Argument, N>,
    ComparedItem<K, K::Argument, M, N>: OwnedOfItem<K::Argument, O>,
    KeptItem<K, K::Argument, M, N, O>: KeyOfItem<K::Argument, P>,
{
    part.next().next().next().part()
}

/// The same for a container.
pub fn item_part_with<A, K, M, N, O, P>(
    _: Output<A>,
    part: K,
) -> <KeptItem<K, A, M, N, O> as KeyOfItem<A, P>>::Part
where
    K: HashOfItem<A, M>,
    HashedItem<K, A, M>: EqOfItem<A, N>,
    ComparedItem<K, A, M, N>: OwnedOfItem<A, O>,
    KeptItem<K, A, M, N, O>: KeyOfItem<A, P>,
{
    part.next().next().next().part()
}
