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
//! None of these steps has a bound, so the choice never depends on what a type lacks; [`needs`] states what a part needs,
//! with messages about the argument. [`owned`] is about the same parts, for executions that outlive their caller.

pub(crate) mod needs;
pub(crate) mod owned;
#[cfg(feature = "fleet")]
mod serialized;
#[cfg(feature = "fleet")]
pub(crate) use self::serialized::SerializeOf;

use std::any::Any;
use std::borrow::{Borrow, Cow};
use std::hash::{Hash, Hasher};

/// An argument, borrowed, before it is known what kind of key part it is.
#[derive(Debug)]
pub struct Part<'a, A: ?Sized>(pub &'a A);

/// The value of a user's expression, before the kind of key part is known. This is a method because the compiler says
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
    /// The form that an open flight or group keeps.
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

/// The subject of a part: the argument, or the expression that `key(…)` gives for it.
pub trait About {
    /// Its type, without a reference around it.
    type Argument: ?Sized;
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

/// The rest of a list of parts after a part whose argument has been configured out.
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
