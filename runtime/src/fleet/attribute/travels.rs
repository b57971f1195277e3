//! What a result must be to travel to other processes, a trait for each thing that may be missing. See
//! [`bounds`](crate::bounds).

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bounds::{Always, Name, Never, Nothing, Nowhere, Output, gives_back};
use crate::fleet::payload::{Success, Whole};
use crate::sharing::kind::{Halves, Kind, Whole as NotResult};
use crate::sharing::steps::Next;

/// A result, or the success of one, that can be written down.
#[diagnostic::on_unimplemented(
    message = "with `across`, `{R}` must be `serde::Serialize`, since it is sent to other processes",
    label = "`{R}` is not `Serialize`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for `{R}`; for a type parameter, add the bounds `serde::Serialize + serde::de::DeserializeOwned`",
    note = "for a type from another crate, look for its feature `serde`"
)]
pub trait WriteOf<R, M> {
    /// What the next step is asked of.
    type Next;
}

/// The same, that can be read.
#[diagnostic::on_unimplemented(
    message = "with `across`, `{R}` must be `serde::de::DeserializeOwned`, since it is received from other processes",
    label = "`{R}` is not `Deserialize`, or borrows",
    note = "derive `serde::Deserialize` for `{R}`, and let it own what it holds: `String` instead of `&str`; for a type parameter, add the bound `serde::de::DeserializeOwned`",
    note = "for `Arc` and `Rc`, add serde's feature `rc`"
)]
pub trait ReadOf<R, M> {
    /// `X`.
    type If<X>;
    /// `X`.
    fn then<X>(x: X) -> Self::If<X>;
}

/// The error of a result, that can be written down.
#[diagnostic::on_unimplemented(
    message = "with `across_err`, `{R}`, the error type of this `Result`, must be `serde::Serialize`, since it is sent to other processes",
    label = "`{R}` is not `Serialize`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for `{R}`; for a type parameter, add the bounds `serde::Serialize + serde::de::DeserializeOwned`",
    note = "without `across_err`, an error stays in its process and needs no serde: all processes that wait then run the function themselves"
)]
pub trait WriteErrOf<R, M> {
    /// What the next step is asked of.
    type Next;
}

/// The same, that can be read.
#[diagnostic::on_unimplemented(
    message = "with `across_err`, `{R}`, the error type of this `Result`, must be `serde::de::DeserializeOwned`, since it is received from other processes",
    label = "`{R}` is not `Deserialize`, or borrows",
    note = "derive `serde::Deserialize` for `{R}`, and let it own what it holds: `String` instead of `&str`; for a type parameter, add the bound `serde::de::DeserializeOwned`",
    note = "without `across_err`, an error stays in its process and needs no serde: all processes that wait then run the function themselves"
)]
pub trait ReadErrOf<R, M> {
    /// `X`.
    type If<X>;
    /// `X`.
    fn then<X>(x: X) -> Self::If<X>;
}

macro_rules! steps {
    ($($write:ident $read:ident;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<R: Serialize, Named> $write<Named, Always> for Output<R> {
            type Next = Next<R>;
        }

        #[diagnostic::do_not_recommend]
        impl<R: Nothing, Named> $write<Named, Never> for Output<R> {
            type Next = Next<R>;
        }

        gives_back! {
            $read<Named, Always>, Next<R>: [R: DeserializeOwned, Named];
            $read<Named, Never>, Next<R>: [R: Nothing, Named];
        }
    )*};
}
steps! {
    WriteOf ReadOf;
    WriteErrOf ReadErrOf;
}

pub(super) type Written<K, M> =
    <Output<<K as Kind>::First> as WriteOf<<K as Kind>::Named, M>>::Next;
pub(super) type WrittenErr<K, M> =
    <Output<<K as Kind>::Err> as WriteErrOf<<K as Kind>::Err, M>>::Next;
pub(super) type Both<K, L, M, N, O, P> = <Written<K, M> as ReadOf<<K as Kind>::Named, N>>::If<
    <WrittenErr<K, O> as ReadErrOf<<K as Kind>::Err, P>>::If<
        <Output<<K as Kind>::Whole> as ErrTravels<<K as Kind>::Whole, L>>::If<
            Whole<<K as Kind>::Output>,
        >,
    >,
>;

/// Which part of a result travels.
pub trait Travels: Kind {
    /// How.
    type Payload;
    /// How.
    fn payload() -> Self::Payload;
}

impl<R, L: Name<R>> Travels for NotResult<R, L> {
    type Payload = Whole<R>;
    fn payload() -> Whole<R> {
        Whole::new()
    }
}

impl<T, E, L: Name<T>> Travels for Halves<T, E, L> {
    type Payload = Success<T, E>;
    fn payload() -> Success<T, E> {
        Success::new()
    }
}

/// What is no `Result` but `()`, as which the module `bounds` knows a `Result`.
#[diagnostic::on_unimplemented(
    message = "`across_err` needs a `Result`, but each caller gets a `{R}`",
    label = "not a `Result`",
    note = "without `across_err`, the whole result is sent to other processes"
)]
pub trait ErrTravels<R, M> {
    /// `X`.
    type If<X>;
    /// `X`.
    fn then<X>(x: X) -> Self::If<X>;
}

gives_back! {
    ErrTravels<(), Always>, Output<()>: [];
    // Two, since the real implementation does not apply to what is not a `Result`.
    ErrTravels<R, Never>, Output<R>: [R: Nothing];
    ErrTravels<R, Nowhere>, Output<R>: [R: Nothing];
}
