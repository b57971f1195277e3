//! Keys: looked up borrowed, owned only by the execution that opens a flight or a group.
//!
//! A key is a list of parts, `(a, (b, ()))`, one for each argument. What a part is depends on the argument's type,
//! which an attribute can't know (an alias, a type parameter, a pattern's binding). So an expansion writes
//! `Part(&argument).__piggyback_key()`, and method resolution picks, from the most special to the most general:
//!
//! | argument | part | owned form |
//! |---|---|---|
//! | `Option<&B>` | [`OptRef`] | `Option<B::Owned>` |
//! | `&[&B]` | [`SliceRef`] | `Vec<B::Owned>` |
//! | `&B` | [`ByRef`] | `B::Owned` |
//! | anything else | [`ByValue`] | itself |
//!
//! None of these steps has a bound, so the choice never depends on what a type lacks; the bounds are on [`Key`], whose
//! message is then about the argument. [`owned`] is about the same parts, for executions that outlive their caller.

pub(crate) mod owned;
#[cfg(feature = "fleet")]
mod serialized;
#[cfg(feature = "fleet")]
pub(crate) use self::serialized::SerializeOf;

use crate::bounds::{Always, Never, Nothing};
use std::any::Any;
use std::borrow::{Borrow, Cow};
use std::hash::{Hash, Hasher};

/// An argument, borrowed, before it is known what kind of key part it is.
#[derive(Debug)]
pub struct Part<'a, A: ?Sized>(pub &'a A);

/// What an expression of the user's gives, before it is known what kind of key part it is. A method, since the compiler says
/// nothing of one that is called on what is wrong already.
pub trait AsPart<'a> {
    /// Its type.
    type Value;
    /// As a part.
    fn __piggyback_as_part(self) -> Part<'a, Self::Value>;
}

impl<'a, A> AsPart<'a> for &'a A {
    type Value = A;
    fn __piggyback_as_part(self) -> Part<'a, A> {
        Part(self)
    }
}

/// A key, or one part of it.
pub trait Key {
    /// What an open flight or group keeps.
    type Owned: Send + Sync + 'static;
    /// Feeds the key to a hasher.
    fn hash<H: Hasher>(&self, state: &mut H);
    /// Compares by value.
    fn is(&self, owned: &Self::Owned) -> bool;
    /// Makes the owned form.
    fn to_owned(&self) -> Self::Owned;
    /// Whether making the owned form runs no code of the user's and copies at most 4 KiB, so that it may be done
    /// under a lock. A key that may be large is copied outside of the lock, which then has to be taken twice.
    fn is_little(&self) -> bool;
}

/// The most bytes of a key that are copied under a lock.
const LITTLE: usize = 4096;

/// Whether a copy of this is one of at most [`LITTLE`] bytes: nothing in it is allocated.
fn is_little<B: ?Sized>(value: &B) -> bool {
    !std::mem::needs_drop::<B>() && size_of_val(value) <= LITTLE
}

/// The same for a value, which may also be a string.
fn is_little_value<A: 'static>(value: &A) -> bool {
    let any: &dyn Any = value;
    is_little(value)
        || any
            .downcast_ref()
            .is_some_and(|it: &String| it.len() <= LITTLE)
        || any
            .downcast_ref()
            .is_some_and(|it: &Vec<u8>| it.len() <= LITTLE)
}

/// What a part is about: the argument, or what `key(…)` says of it.
pub trait About {
    /// Its type, without a reference around it.
    type Argument: ?Sized;
}

/// States one bound of a key, so that the message can name the one that is missing. See [`bounds`](crate::bounds) for
/// `M`, and for why a step's result is what the next step is asked of.
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

steps! {
    /// A part that is hashed.
    #[diagnostic::on_unimplemented(
        message = "`{A}` can't be part of the key, since it is not `Hash`",
        label = "`{A}` is not `Hash`",
        note = "if the result does not depend on it (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the key",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds; for a float, write `key(… = ….to_bits())`",
        note = "or compare calls by part of the argument with `key(… = …)`"
    )]
    HashOf;
    /// A part that is compared.
    #[diagnostic::on_unimplemented(
        message = "`{A}` can't be part of the key, since it is not `Eq`",
        label = "`{A}` is not `Eq`",
        note = "if the result does not depend on it (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the key",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds",
        note = "or compare calls by part of the argument with `key(… = …)`"
    )]
    EqOf;
    /// A part that is kept.
    #[diagnostic::on_unimplemented(
        message = "`{A}` can't be part of the key, since it is not `Clone`",
        label = "`{A}` is not `Clone`",
        note = "if the result does not depend on it (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the key",
        note = "derive `Clone`, `PartialEq`, `Eq` and `Hash` for `{A}`; for a type parameter, add `Hash + Eq + Clone + Send + Sync + 'static` to its bounds",
        note = "or compare calls by part of the argument with `key(… = …)`"
    )]
    OwnedOf;
}

/// The last of these steps, with which a part is a [`Key`].
#[diagnostic::on_unimplemented(
    message = "`{A}` can't be part of the key, since it is not `Send + Sync + 'static`",
    label = "`{A}` is not `Send + Sync + 'static`",
    note = "if the result does not depend on it (a pool, a client), write `skip(…)`; users, tenants, permissions and locales must stay in the key",
    note = "use types that may be shared between threads, for example `Arc` instead of `Rc` (for a type parameter, add `Send + Sync + 'static` to its bounds)",
    note = "or compare calls by part of the argument with `key(… = …)`"
)]
pub trait KeyOf<A: ?Sized, M> {
    /// The part itself.
    type Part: Key;
    /// The part itself.
    fn part(self) -> Self::Part;
}

/// The same for a receiver, which has its own ways out.
#[diagnostic::on_unimplemented(
    message = "`self` is part of the key, but `{A}` is not `Hash + Eq + Clone + Send + Sync + 'static`",
    label = "`{A}` can't be part of the key",
    note = "if the result depends on some of its fields, write `key(self = self.…)`, for example `key(self = self.tenant)`",
    note = "if instances must not share calls, add a field of type `piggyback::Scope` and write `scope = self.…`",
    note = "if the result does not depend on `self` at all, write `skip(self)`; users, tenants, permissions and locales must stay in the key"
)]
pub trait SelfKeyOf<A: ?Sized, M> {
    /// The part itself.
    type Part: Key;
    /// The part itself.
    fn part(self) -> Self::Part;
}

/// A receiver's part of the key.
pub fn self_part<K: About + SelfKeyOf<K::Argument, M>, M>(
    part: K,
) -> <K as SelfKeyOf<K::Argument, M>>::Part {
    part.part()
}

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

impl Key for () {
    type Owned = ();
    fn hash<H: Hasher>(&self, _: &mut H) {}
    fn is(&self, (): &()) -> bool {
        true
    }
    fn to_owned(&self) {}
    fn is_little(&self) -> bool {
        true
    }
}

#[diagnostic::do_not_recommend]
impl<P: Key, Rest: Key> Key for (P, Rest) {
    type Owned = (P::Owned, Rest::Owned);
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.1.hash(state);
    }
    fn is(&self, owned: &Self::Owned) -> bool {
        self.0.is(&owned.0) && self.1.is(&owned.1)
    }
    fn to_owned(&self) -> Self::Owned {
        (self.0.to_owned(), self.1.to_owned())
    }
    fn is_little(&self) -> bool {
        self.0.is_little() && self.1.is_little()
    }
}

/// What is left of a part and its `Rest` when the part's argument has been configured out.
#[diagnostic::do_not_recommend]
impl<Rest: Key> Key for (Rest,) {
    type Owned = (Rest::Owned,);
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
    fn is(&self, owned: &Self::Owned) -> bool {
        self.0.is(&owned.0)
    }
    fn to_owned(&self) -> Self::Owned {
        (self.0.to_owned(),)
    }
    fn is_little(&self) -> bool {
        self.0.is_little()
    }
}

/// A value that is its own owned form.
#[derive(Debug)]
pub struct ByValue<'a, A>(pub &'a A);

/// A reference.
#[derive(Debug)]
pub struct ByRef<'a, B: ?Sized>(pub &'a B);

/// An optional reference.
#[derive(Debug)]
pub struct OptRef<'a, B: ?Sized>(Option<&'a B>);

/// A slice of references.
#[derive(Debug)]
pub struct SliceRef<'a, 'b, B: ?Sized>(&'a [&'b B]);

#[diagnostic::do_not_recommend]
impl<A: Hash + Eq + Clone + Send + Sync + 'static> Key for ByValue<'_, A> {
    type Owned = A;
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
    fn is(&self, owned: &A) -> bool {
        self.0 == owned
    }
    fn to_owned(&self) -> A {
        self.0.clone()
    }
    fn is_little(&self) -> bool {
        is_little_value(self.0)
    }
}

#[diagnostic::do_not_recommend]
impl<B> Key for ByRef<'_, B>
where
    B: ?Sized + Hash + Eq + ToOwned<Owned: Send + Sync + 'static>,
{
    type Owned = B::Owned;
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
    fn is(&self, owned: &B::Owned) -> bool {
        self.0 == owned.borrow()
    }
    fn to_owned(&self) -> B::Owned {
        self.0.to_owned()
    }
    fn is_little(&self) -> bool {
        is_little(self.0)
    }
}

#[diagnostic::do_not_recommend]
impl<B> Key for OptRef<'_, B>
where
    B: ?Sized + Hash + Eq + ToOwned<Owned: Send + Sync + 'static>,
{
    type Owned = Option<B::Owned>;
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
    fn is(&self, owned: &Option<B::Owned>) -> bool {
        self.0 == owned.as_ref().map(Borrow::borrow)
    }
    fn to_owned(&self) -> Option<B::Owned> {
        self.0.map(ToOwned::to_owned)
    }
    fn is_little(&self) -> bool {
        self.0.is_none_or(is_little)
    }
}

#[diagnostic::do_not_recommend]
impl<B> Key for SliceRef<'_, '_, B>
where
    B: ?Sized + Hash + Eq + ToOwned<Owned: Send + Sync + 'static>,
{
    type Owned = Vec<B::Owned>;
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
    fn is(&self, owned: &Vec<B::Owned>) -> bool {
        self.0.len() == owned.len() && self.0.iter().zip(owned).all(|(a, b)| *a == b.borrow())
    }
    fn to_owned(&self) -> Vec<B::Owned> {
        self.0.iter().map(|b| (*b).to_owned()).collect()
    }
    fn is_little(&self) -> bool {
        self.0.len() <= 16 && self.0.iter().all(|b| is_little(*b))
    }
}

/// Two implementations for each kind of part: see [`bounds`](crate::bounds).
macro_rules! key_of {
    ($($part:ty, $argument:ident: [$($sized:tt)*] [$($owned:tt)*] [$($bounds:tt)*];)*) => {$(
        impl<$argument $($sized)*> About for $part {
            type Argument = $argument;
        }

        key_of!(step HashOf, $part, $argument: [$($sized)*] [+ Hash]);
        key_of!(step EqOf, $part, $argument: [$($sized)*] [+ Eq]);
        key_of!(step OwnedOf, $part, $argument: [$($sized)*] [$($owned)*]);
        key_of!(last KeyOf, $part, $argument: [$($sized)*] [$($bounds)*]);
        key_of!(last SelfKeyOf, $part, $argument: [$($sized)*] [$($bounds)*]);
    )*};
    (step $step:ident, $part:ty, $argument:ident: [$($sized:tt)*] [$($bounds:tt)*]) => {
        #[diagnostic::do_not_recommend]
        impl<$argument $($sized)* $($bounds)*> $step<$argument, Always> for $part {
            type Next = Self;
            #[inline]
            fn next(self) -> Self {
                self
            }
        }

        #[diagnostic::do_not_recommend]
        impl<$argument $($sized)* + Nothing> $step<$argument, Never> for $part {
            type Next = Self;
            fn next(self) -> Self {
                self
            }
        }
    };
    (last $last:ident, $part:ty, $argument:ident: [$($sized:tt)*] [$($bounds:tt)*]) => {
        #[diagnostic::do_not_recommend]
        impl<$argument $($sized)* $($bounds)*> $last<$argument, Always> for $part {
            type Part = Self;
            #[inline]
            fn part(self) -> Self {
                self
            }
        }

        #[diagnostic::do_not_recommend]
        impl<$argument $($sized)* + Nothing> $last<$argument, Never> for $part {
            type Part = ();
            fn part(self) {}
        }
    };
}

key_of! {
    ByValue<'_, A>, A: [: Sized] [+ Clone] [+ Hash + Eq + Clone + Send + Sync + 'static];
    ByRef<'_, B>, B: [: ?Sized] [+ ToOwned] [+ Hash + Eq + ToOwned<Owned: Send + Sync + 'static>];
    OptRef<'_, B>, B: [: ?Sized] [+ ToOwned] [+ Hash + Eq + ToOwned<Owned: Send + Sync + 'static>];
    SliceRef<'_, '_, B>, B: [: ?Sized] [+ ToOwned] [+ Hash + Eq + ToOwned<Owned: Send + Sync + 'static>];
}

impl<'a, B: ?Sized> Part<'_, Option<&'a B>> {
    /// As an optional reference.
    pub fn __piggyback_key(self) -> OptRef<'a, B> {
        OptRef(*self.0)
    }
}

impl<'a, 'b, B: ?Sized> Part<'_, &'a [&'b B]> {
    /// As a slice of references.
    pub fn __piggyback_key(self) -> SliceRef<'a, 'b, B> {
        SliceRef(self.0)
    }
}

impl<'a, B: ?Sized + ToOwned> Part<'_, Cow<'a, B>> {
    /// As what the `Cow` gives.
    pub fn __piggyback_key(&self) -> ByRef<'_, B> {
        ByRef(self.0)
    }
}

/// Arguments that are references.
pub trait RefPart {
    /// The part.
    type Key;
    /// As a reference.
    fn __piggyback_key(self) -> Self::Key;
}

impl<'a, B: ?Sized> RefPart for Part<'_, &'a B> {
    type Key = ByRef<'a, B>;
    fn __piggyback_key(self) -> ByRef<'a, B> {
        ByRef(self.0)
    }
}

/// All other arguments: found last, through one more reference.
pub trait ValuePart {
    /// The part.
    type Key;
    /// As a value.
    fn __piggyback_key(self) -> Self::Key;
}

impl<'a, A> ValuePart for &Part<'a, A> {
    type Key = ByValue<'a, A>;
    fn __piggyback_key(self) -> ByValue<'a, A> {
        ByValue(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::DefaultHasher;

    fn hash(key: &impl Key) -> u64 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish()
    }

    /// Keys in which each differs from all others.
    fn differ<K: Key>(keys: &[K]) {
        for (at, key) in keys.iter().enumerate() {
            for (other, owned) in keys.iter().map(Key::to_owned).enumerate() {
                assert_eq!(key.is(&owned), at == other, "{at} and {other}");
            }
        }
        let hashes: std::collections::HashSet<_> = keys.iter().map(hash).collect();
        assert_eq!(hashes.len(), keys.len());
    }

    #[test]
    fn a_part_of_any_kind_is_compared_by_its_value() {
        differ(&[ByValue(&1), ByValue(&2)]);
        differ(&["", "a", "b"].map(ByRef));
        differ(&[None, Some(""), Some("a")].map(OptRef));
        let lists: [&[&str]; 5] = [&[], &["a"], &["b"], &["a", "b"], &["ab"]];
        differ(&lists.map(SliceRef));
        let pairs = [(1, 1), (1, 2), (2, 1)];
        differ(
            &pairs
                .each_ref()
                .map(|(a, b)| (ByValue(a), (ByValue(b), ()))),
        );
    }

    #[test]
    fn what_was_configured_out_leaves_the_rest_of_the_key() {
        let key = |id| ((ByValue(id), ()),);
        let (one, two) = (key(&1), key(&2));
        assert_eq!(hash(&one), hash(&(ByValue(&1), ())));
        assert_ne!(hash(&one), hash(&two));
        assert!(one.is(&one.to_owned()));
        assert!(!one.is(&two.to_owned()));
    }
}
