//! The rows that callers of a batch get, which must be `Clone`: two callers can ask for the same item.

use super::steps::RowOf;
use crate::bounds::{Name, Output, Plain, named, output};

impl<R, L> Plain<R, L> {
    /// The row in it, if there is one: none is known.
    pub fn __piggyback_row(&self) -> Output<()> {
        output()
    }
}

macro_rules! rows {
    ($([$($e:ident)*] $one:ty;)*) => {$(
        impl<R, $($e,)* L> Output<$one, L> {
            /// The row in it.
            pub fn __piggyback_row(&self) -> Output<R, L> {
                named()
            }
        }
    )*};
}
rows! {
    [] Option<R>;
    [] Vec<R>;
    [E] Result<Option<R>, E>;
    [E] Result<Vec<R>, E>;
}

/// A sharing of rows, which must be `Clone`.
pub fn rows<R, L: Name<R>, S, M>(
    _: Output<R, L>,
    sharing: S,
) -> <Output<R> as RowOf<L::Name, M>>::If<S>
where
    Output<R>: RowOf<L::Name, M>,
{
    <Output<R> as RowOf<L::Name, M>>::then(sharing)
}
