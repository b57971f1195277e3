//! The rows that callers of a batch get, which must be `Clone`: two callers can ask for the same item.

use super::steps::RowOf;
use crate::bounds::{Output, Plain, output};

impl<R> Plain<R> {
    /// The row in it, if there is one: none is known.
    pub fn __piggyback_row(&self) -> Output<()> {
        output()
    }
}

macro_rules! rows {
    ($([$($e:ident)*] $one:ty;)*) => {$(
        impl<R, $($e)*> Output<$one> {
            /// The row in it.
            pub fn __piggyback_row(&self) -> Output<R> {
                output()
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
pub fn rows<R, S, M>(_: Output<R>, sharing: S) -> <Output<R> as RowOf<R, M>>::If<S>
where
    Output<R>: RowOf<R, M>,
{
    <Output<R> as RowOf<R, M>>::then(sharing)
}
