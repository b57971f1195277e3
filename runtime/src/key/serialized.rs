//! Keys as other processes see them: the same parts, serialised.

use serde::{Serialize, Serializer};

use super::{ByRef, ByValue, OptRef, SliceRef};
use crate::bounds::{Always, Never, Nothing};

/// A part of a key that can be sent. The module `bounds` explains `M`.
#[diagnostic::on_unimplemented(
    message = "with `across`, `{A}` can't be part of the key, since it is not `serde::Serialize`",
    label = "`{A}` is not `Serialize`",
    note = "other processes compare the key by its serialised form: derive `serde::Serialize` for `{A}`; for a type parameter, add `serde::Serialize` to its bounds",
    note = "or compare calls by part of the argument with `key(… = …)`, or leave it out with `skip(…)` if the result does not depend on it in *any* process: users, tenants, permissions and locales must stay in the key"
)]
pub trait SerializeOf<A: ?Sized, M> {
    /// The part itself.
    type Part;
    /// The part itself.
    fn part(self) -> Self::Part;
}

impl<A: Serialize> Serialize for ByValue<'_, A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<B: ?Sized + Serialize> Serialize for ByRef<'_, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<B: ?Sized + Serialize> Serialize for OptRef<'_, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<B: ?Sized + Serialize> Serialize for SliceRef<'_, '_, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

macro_rules! serialize_of {
    ($($part:ty, $argument:ident: [$($sized:tt)*];)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<$argument $($sized)* + Serialize> SerializeOf<$argument, Always> for $part {
            type Part = Self;
            fn part(self) -> Self {
                self
            }
        }

        #[diagnostic::do_not_recommend]
        impl<$argument $($sized)* + Nothing> SerializeOf<$argument, Never> for $part {
            type Part = ();
            fn part(self) {}
        }
    )*};
}

serialize_of! {
    ByValue<'_, A>, A: [: Sized];
    ByRef<'_, B>, B: [: ?Sized];
    OptRef<'_, B>, B: [: ?Sized];
    SliceRef<'_, '_, B>, B: [: ?Sized];
}
