//! Arguments for an execution that outlives its caller: their owned forms, and what these lend to the body.
//!
//! A reference goes by its owned form, and the body sees a reference again; a value goes as it is. So an expansion
//! writes, where the caller is, one of
//!
//! ```text
//! let pool = own(arg(pool).__piggyback_part());   // the argument may be moved
//! let name = own(part(Part(&name).__piggyback_key())); // it is still borrowed by the key
//! ```
//!
//! and, where the body is, `let pool = pool.__piggyback_lend();`.

use super::{About, ByRef, ByValue, OptRef, SliceRef};
use crate::bounds::{Always, Never, Nothing, Output};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A part that can outlive its caller. See [`bounds`](crate::bounds) for `M`.
#[diagnostic::on_unimplemented(
    message = "`{A}` must be `Send + 'static`, and also `Clone` if it is borrowed, since the function runs in its own task",
    label = "`{A}` can't be moved to that task",
    note = "derive `Clone` for `{A}`, take it by value or in an `Arc`, or take something that is cheap to clone, for example a pool instead of a connection; for a type parameter, add the bounds"
)]
pub trait Own<A: ?Sized, M> {
    /// The owned form.
    type Held: Send + 'static;
    /// Makes it, or moves it there.
    fn own(self) -> Self::Held;
}

/// The owned form of a part. An expansion calls it with the argument's span, so that errors point there.
pub fn own<P: About + Own<P::Argument, M>, M>(part: P) -> <P as Own<P::Argument, M>>::Held {
    part.own()
}

/// The same for a container, whose elements lack what it lacks: `A` is the type that can be changed.
pub fn own_with<A, P: Own<A, M>, M>(_: Output<A>, part: P) -> <P as Own<A, M>>::Held {
    part.own()
}

/// A receiver that is borrowed, and so is copied. Receivers have their own ways out.
#[diagnostic::on_unimplemented(
    message = "the function runs in its own task, so it needs an owned `{A}`: derive `Clone`, or take `self: Arc<Self>`",
    label = "`{A}` is not `Clone`",
    note = "if `{A}` is generic and derives `Clone`, its type parameters need `Clone + Send + Sync + 'static` in the header of this `impl`; where they can't be `Clone`, keep them in an `Arc` and write `impl Clone` by hand, or take `self: Arc<Self>`",
    note = "if `{A}` has a lifetime, let it own its data, for example in an `Arc`: a task can't borrow",
    note = "in a trait, add `where Self: Clone + Send + 'static` to the method"
)]
pub trait CopySelf<A: ?Sized, M> {
    /// The part itself.
    type Next;
    /// The part itself.
    fn next(self) -> Self::Next;
}

/// A receiver that is moved to the task of the function.
#[diagnostic::on_unimplemented(
    message = "`{A}` must be `Send + 'static`, since the function runs in its own task",
    label = "`{A}` can't be moved to that task",
    note = "if `{A}` is generic, add `Send + Sync + 'static` to the bounds of its type parameters in the header of this `impl`",
    note = "if a field of `{A}` can't be sent to other threads, change its type, for example to `Arc` instead of `Rc`",
    note = "in a trait, add `where Self: Clone + Send + 'static` to the method"
)]
pub trait OwnSelf<A: ?Sized, M> {
    /// The owned form.
    type Held: Send + 'static;
    /// Makes it, or moves it there.
    fn own(self) -> Self::Held;
}

type Copied<P, A, M> = <P as CopySelf<A, M>>::Next;

/// The owned form of a receiver.
pub fn own_self<P, M, N>(part: P) -> <Copied<P, P::Argument, M> as OwnSelf<P::Argument, N>>::Held
where
    P: About + CopySelf<P::Argument, M>,
    Copied<P, P::Argument, M>: OwnSelf<P::Argument, N>,
{
    part.next().own()
}

macro_rules! copied_self {
    ($($part:ty, $argument:ident: [$($bounds:tt)*] [$($never:tt)*];)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<$argument: $($bounds)*> CopySelf<$argument, Always> for $part {
            type Next = Self;
            fn next(self) -> Self {
                self
            }
        }

        #[diagnostic::do_not_recommend]
        impl<$argument: $($never)*> CopySelf<$argument, Never> for $part {
            type Next = Self;
            fn next(self) -> Self {
                self
            }
        }
    )*};
}

copied_self! {
    ByRef<'_, B>, B: [?Sized + ToOwned] [?Sized + Nothing];
    ByValue<'_, A>, A: [Clone] [Nothing];
    Moved<A>, A: [Sized] [Nothing];
}

#[diagnostic::do_not_recommend]
impl<A: ?Sized, P: About<Argument = A> + Own<A, Always>> OwnSelf<A, Always> for P {
    type Held = P::Held;
    fn own(self) -> P::Held {
        Own::own(self)
    }
}

#[diagnostic::do_not_recommend]
impl<A: ?Sized, P: About<Argument = A> + Nothing> OwnSelf<A, Never> for P {
    type Held = ();
    fn own(self) {}
}

/// The same for a receiver in an `Arc`.
#[diagnostic::on_unimplemented(
    message = "`{S}` must be `Send + Sync + 'static`, since the function runs in its own task, which shares the `Arc` with its callers",
    label = "`Arc<{S}>` can't be moved to that task",
    note = "if `{S}` is generic, add `Send + Sync + 'static` to the bounds of its type parameters in the header of this `impl`",
    note = "if a field of `{S}` can't be shared between threads, change its type, for example to `Arc` instead of `Rc`, or to `Mutex` instead of `RefCell`"
)]
pub trait OwnArc<S: ?Sized, M> {
    /// The owned form.
    type Held: Send + 'static;
    /// Makes it, or moves it there.
    fn own(self) -> Self::Held;
}

/// The owned form of a receiver in an `Arc`.
pub fn own_arc<S: ?Sized, P: About<Argument = Arc<S>> + OwnArc<S, M>, M>(
    part: P,
) -> <P as OwnArc<S, M>>::Held {
    part.own()
}

#[diagnostic::do_not_recommend]
impl<S: ?Sized, P: About<Argument = Arc<S>> + Own<Arc<S>, Always>> OwnArc<S, Always> for P {
    type Held = P::Held;
    fn own(self) -> P::Held {
        Own::own(self)
    }
}

#[diagnostic::do_not_recommend]
impl<S: ?Sized, P: About<Argument = Arc<S>> + Nothing> OwnArc<S, Never> for P {
    type Held = ();
    fn own(self) {}
}

/// The value of `unique` for an item.
#[diagnostic::on_unimplemented(
    message = "`unique` takes a closure that returns something `Hash + Eq + Send + 'static`, and `{A}` is not",
    label = "returns `{A}`, by which items can't be compared",
    note = "return a value that can be compared, for example `row.id`; what is borrowed from the item must also be `Clone`"
)]
pub trait Unique<A: ?Sized, M> {
    /// The owned form.
    type Held: Hash + Eq + Send + 'static;
    /// Makes it, or moves it there.
    fn unique(self) -> Self::Held;
}

/// The value by which items are told apart.
pub fn unique<P: About + Unique<P::Argument, M>, M>(
    part: P,
) -> <P as Unique<P::Argument, M>>::Held {
    part.unique()
}

#[diagnostic::do_not_recommend]
impl<P: About + Own<P::Argument, Always, Held: Hash + Eq>> Unique<P::Argument, Always> for P {
    type Held = P::Held;
    fn unique(self) -> P::Held {
        self.own()
    }
}

#[diagnostic::do_not_recommend]
impl<P: About + Nothing> Unique<P::Argument, Never> for P {
    type Held = ();
    fn unique(self) {}
}

/// The value by which `item_by`, and `one_by` or `many_by` beside it, find results.
#[diagnostic::on_unimplemented(
    message = "results can't be found by a `{A}`",
    label = "gives something that isn't `Hash + Eq + Send + 'static`; what is borrowed must also have an owned form"
)]
pub trait Match<A: ?Sized> {
    /// Its owned form: the same for what is borrowed and what isn't.
    type Value: Hash + Eq + Send + 'static;
    /// Makes it, or moves it there.
    fn value(self) -> Self::Value;
}

/// The value by which results are found.
pub fn matched<P: About + Match<P::Argument>>(part: P) -> P::Value {
    part.value()
}

impl<A: Hash + Eq + Send + 'static> Match<A> for Moved<A> {
    type Value = A;
    fn value(self) -> A {
        self.0
    }
}

impl<B: ?Sized + ToOwned<Owned: Hash + Eq + Send + 'static>> Match<B> for ByRef<'_, B> {
    type Value = B::Owned;
    fn value(self) -> B::Owned {
        self.0.to_owned()
    }
}

impl<B: ?Sized + ToOwned<Owned: Hash + Eq + Send + 'static>> Match<B> for OptRef<'_, B> {
    type Value = Option<B::Owned>;
    fn value(self) -> Option<B::Owned> {
        self.0.map(ToOwned::to_owned)
    }
}

/// The value by which `sort_by` sorts an item.
#[diagnostic::on_unimplemented(
    message = "`sort_by` takes a closure that returns something `Ord + Send + 'static`, and `{A}` is not",
    label = "returns `{A}`, by which items can't be sorted",
    note = "return a value that can be sorted, for example `row.id`; a value that is borrowed from the item must also be `Clone`"
)]
pub trait Order<A: ?Sized, M> {
    /// The owned form.
    type Held: Ord + Send + 'static;
    /// Makes it, or moves it there.
    fn order(self) -> Self::Held;
}

/// The value by which an item is sorted.
pub fn order<P: About + Order<P::Argument, M>, M>(part: P) -> <P as Order<P::Argument, M>>::Held {
    part.order()
}

#[diagnostic::do_not_recommend]
impl<P: About + Own<P::Argument, Always, Held: Ord>> Order<P::Argument, Always> for P {
    type Held = P::Held;
    fn order(self) -> P::Held {
        self.own()
    }
}

#[diagnostic::do_not_recommend]
impl<P: About + Nothing> Order<P::Argument, Never> for P {
    type Held = ();
    fn order(self) {}
}

/// An argument, before it is known what kind of part it is. It can be taken out once.
#[derive(Debug)]
pub struct Arg<A>(Option<A>);

/// An argument that may be moved.
pub fn arg<A>(argument: A) -> Arg<A> {
    Arg(Some(argument))
}

impl<A> Arg<A> {
    fn take(&mut self) -> A {
        self.0
            .take()
            .expect("an argument is taken once, where it is named")
    }
}

/// A value that has been moved.
#[derive(Debug)]
pub struct Moved<A>(A);

impl<'a, B: ?Sized> Arg<Option<&'a B>> {
    /// As an optional reference.
    pub fn __piggyback_part(mut self) -> OptRef<'a, B> {
        OptRef(self.take())
    }
}

impl<'a, 'b, B: ?Sized> Arg<&'a [&'b B]> {
    /// As a slice of references.
    pub fn __piggyback_part(mut self) -> SliceRef<'a, 'b, B> {
        SliceRef(self.take())
    }
}

/// Arguments that are references.
pub trait RefArg {
    /// The part.
    type Part;
    /// As a reference.
    fn __piggyback_part(self) -> Self::Part;
}

impl<'a, B: ?Sized> RefArg for Arg<&'a B> {
    type Part = ByRef<'a, B>;
    fn __piggyback_part(mut self) -> ByRef<'a, B> {
        ByRef(self.take())
    }
}

/// All other arguments: found last, through one more reference.
pub trait ValueArg {
    /// The part.
    type Part;
    /// As a value.
    fn __piggyback_part(self) -> Self::Part;
}

impl<A> ValueArg for &mut Arg<A> {
    type Part = Moved<A>;
    fn __piggyback_part(self) -> Moved<A> {
        Moved(self.take())
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldValue<A>(A);

/// The owned form of a reference.
#[derive(Debug)]
pub struct HeldRef<B: ?Sized + ToOwned>(B::Owned);

/// The owned form of an optional reference.
#[derive(Debug)]
pub struct HeldOpt<B: ?Sized + ToOwned>(Option<B::Owned>);

/// The owned form of a slice of references.
#[derive(Debug)]
pub struct HeldSlice<B: ?Sized + ToOwned>(Vec<B::Owned>);

#[diagnostic::do_not_recommend]
impl<A: Send + 'static, Named: ?Sized> Own<Named, Always> for Moved<A> {
    type Held = HeldValue<A>;
    fn own(self) -> HeldValue<A> {
        HeldValue(self.0)
    }
}

#[diagnostic::do_not_recommend]
impl<A: Clone + Send + 'static, Named: ?Sized> Own<Named, Always> for ByValue<'_, A> {
    type Held = HeldValue<A>;
    fn own(self) -> HeldValue<A> {
        HeldValue(self.0.clone())
    }
}

#[diagnostic::do_not_recommend]
impl<B: ?Sized + ToOwned<Owned: Send> + 'static, Named: ?Sized> Own<Named, Always>
    for ByRef<'_, B>
{
    type Held = HeldRef<B>;
    fn own(self) -> HeldRef<B> {
        HeldRef(self.0.to_owned())
    }
}

#[diagnostic::do_not_recommend]
impl<B: ?Sized + ToOwned<Owned: Send> + 'static, Named: ?Sized> Own<Named, Always>
    for OptRef<'_, B>
{
    type Held = HeldOpt<B>;
    fn own(self) -> HeldOpt<B> {
        HeldOpt(self.0.map(ToOwned::to_owned))
    }
}

#[diagnostic::do_not_recommend]
impl<B: ?Sized + ToOwned<Owned: Send> + 'static, Named: ?Sized> Own<Named, Always>
    for SliceRef<'_, '_, B>
{
    type Held = HeldSlice<B>;
    fn own(self) -> HeldSlice<B> {
        HeldSlice(self.0.iter().map(|b| (*b).to_owned()).collect())
    }
}

impl<A> About for Moved<A> {
    type Argument = A;
}

macro_rules! never_own {
    ($($part:ty, $argument:ident;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<$argument: ?Sized + Nothing, Named: ?Sized> Own<Named, Never> for $part {
            type Held = ();
            fn own(self) {}
        }
    )*};
}

never_own! {
    ByRef<'_, B>, B;
    OptRef<'_, B>, B;
    SliceRef<'_, '_, B>, B;
}

#[diagnostic::do_not_recommend]
impl<A: Nothing, Named: ?Sized> Own<Named, Never> for Moved<A> {
    type Held = ();
    fn own(self) {}
}

#[diagnostic::do_not_recommend]
impl<A: Nothing, Named: ?Sized> Own<Named, Never> for ByValue<'_, A> {
    type Held = ();
    fn own(self) {}
}

impl<A> HeldValue<A> {
    /// The value.
    pub fn __piggyback_lend(self) -> A {
        self.0
    }
}

impl<B: ?Sized + ToOwned> HeldRef<B> {
    /// A reference again.
    pub fn __piggyback_lend(&self) -> &B {
        self.0.borrow()
    }
}

impl<B: ?Sized + ToOwned> HeldOpt<B> {
    /// An optional reference again.
    pub fn __piggyback_lend(&self) -> Option<&B> {
        self.0.as_ref().map(Borrow::borrow)
    }
}

impl<B: ?Sized + ToOwned> HeldSlice<B> {
    /// References again; the body sees them as a slice.
    pub fn __piggyback_lend(&self) -> Vec<&B> {
        self.0.iter().map(Borrow::borrow).collect()
    }
}

// By hand, since what has to be `Clone` is the owned form.
impl<B: ?Sized + ToOwned<Owned: Clone>> Clone for HeldRef<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: ?Sized + ToOwned<Owned: Clone>> Clone for HeldOpt<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: ?Sized + ToOwned<Owned: Clone>> Clone for HeldSlice<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

// `sort_by` sorts items by held parts.
macro_rules! ordered {
    ($($held:ident)*) => {$(
        impl<B: ?Sized + ToOwned + Ord> PartialOrd for $held<B> {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl<B: ?Sized + ToOwned + Ord> Ord for $held<B> {
            fn cmp(&self, other: &Self) -> Ordering {
                self.__piggyback_lend().cmp(&other.__piggyback_lend())
            }
        }
    )*};
}
ordered! { HeldRef HeldOpt }

// `unique` tells items apart by held parts.
impl<B: ?Sized + ToOwned + Hash> Hash for HeldRef<B> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.__piggyback_lend().hash(state);
    }
}

impl<B: ?Sized + ToOwned + PartialEq> PartialEq for HeldRef<B> {
    fn eq(&self, other: &Self) -> bool {
        self.__piggyback_lend() == other.__piggyback_lend()
    }
}

impl<B: ?Sized + ToOwned + Eq> Eq for HeldRef<B> {}

impl<B: ?Sized + ToOwned + Hash> Hash for HeldOpt<B> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.__piggyback_lend().hash(state);
    }
}

impl<B: ?Sized + ToOwned + PartialEq> PartialEq for HeldOpt<B> {
    fn eq(&self, other: &Self) -> bool {
        self.__piggyback_lend() == other.__piggyback_lend()
    }
}

impl<B: ?Sized + ToOwned + Eq> Eq for HeldOpt<B> {}

#[cfg(test)]
mod tests {
    use super::super::{Part, RefPart as _, ValuePart as _};
    use super::{RefArg as _, ValueArg as _, arg, own, unique};
    use std::hash::{BuildHasher, Hash, RandomState};
    use std::sync::Arc;

    #[test]
    fn references_come_back_as_references() {
        let name = String::from("Ada");
        let (text, maybe, words) = (&*name, Some(&*name), [&*name, "B"]);
        let slice: &[&str] = &words;
        let held = (
            own(arg(text).__piggyback_part()),
            own(arg(maybe).__piggyback_part()),
            own(arg(slice).__piggyback_part()),
        );
        let copies = (
            own(Part(&text).__piggyback_key()),
            own(Part(&maybe).__piggyback_key()),
            own(Part(&slice).__piggyback_key()),
        );
        drop(name);
        for (text, maybe, slice) in [held, copies] {
            assert_eq!(text.__piggyback_lend(), "Ada");
            assert_eq!(maybe.__piggyback_lend(), Some("Ada"));
            assert_eq!(slice.__piggyback_lend(), ["Ada", "B"]);
        }
    }

    /// The unique value of items that all differ.
    fn differ<H: Hash + Eq>(held: impl Fn() -> Vec<H>) {
        let hasher = RandomState::new();
        for (at, one) in held().iter().enumerate() {
            for (other, two) in held().iter().enumerate() {
                assert_eq!(one == two, at == other, "{at} and {other}");
                let same_hash = hasher.hash_one(one) == hasher.hash_one(two);
                assert_eq!(same_hash, at == other, "{at} and {other}");
            }
        }
    }

    #[test]
    fn items_are_told_apart_by_what_their_unique_part_lends() {
        differ(|| {
            ["a", "b", "ab"]
                .map(|it| unique(Part(&it).__piggyback_key()))
                .into()
        });
        differ(|| {
            let maybe = [None, Some(""), Some("a")];
            maybe.map(|it| unique(Part(&it).__piggyback_key())).into()
        });
        differ(|| [1, 2].map(|it| unique(arg(it).__piggyback_part())).into());
    }

    #[test]
    fn values_that_are_not_clone_are_moved() {
        struct Connection(u8);
        let held = own(arg(Connection(7)).__piggyback_part());
        assert_eq!(held.__piggyback_lend().0, 7);
    }

    #[test]
    fn a_counted_pointer_is_counted_and_not_copied() {
        let service = Arc::new(5);
        let (by_ref, by_value) = (
            own(arg(&service).__piggyback_part()),
            own(Part(&service).__piggyback_key()),
        );
        assert_eq!(Arc::strong_count(&service), 3);
        assert!(Arc::ptr_eq(by_ref.__piggyback_lend(), &service));
        assert!(Arc::ptr_eq(&by_value.__piggyback_lend(), &service));
    }
}
