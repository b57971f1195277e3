//! The static beside an annotated function, of either attribute: what the function is called ([`path`]), and its tables, one
//! per monomorphisation ([`slots`]).

mod path;
mod slots;

use std::any::TypeId;
use std::borrow::Cow;

use self::path::Path;
use self::slots::Slots;
use crate::scope::{Listed, Scope};
use crate::shards;
use crate::sync::Arc;

/// The static beside an annotated function.
#[derive(Debug)]
pub struct Site {
    path: Path,
    slots: Slots,
}

impl Site {
    /// Beside a free function: `module_path!()` and the function's name.
    pub const fn free(module: &'static str, name: &'static str) -> Self {
        Self::new(Path::Free(module, name))
    }

    /// Beside a method or an associated function.
    pub const fn method(module: &'static str, name: &'static str) -> Self {
        Self::new(Path::Method(module, name))
    }

    /// Beside a function with the option `name`.
    pub const fn named(name: &'static str) -> Self {
        Self::new(Path::Named(name))
    }

    const fn new(path: Path) -> Self {
        Self {
            path,
            slots: Slots::new(),
        }
    }

    /// The path of the function in whose body the closure `M` was written.
    pub(crate) fn path<M>(&self) -> Cow<'static, str> {
        self.path.of::<M>()
    }

    /// The table of the global scope for the monomorphisation with the marker `M`. `make` gets the function's path and a number
    /// of shards.
    #[inline]
    pub(crate) fn table<M: 'static, T: Listed>(
        &'static self,
        make: impl FnOnce(Cow<'static, str>, usize) -> T,
    ) -> &'static T {
        let (table, made) = self
            .slots
            .get::<M, _>(|| make(self.path::<M>(), shards::global()));
        if made {
            Scope::global().list(table);
        }
        table
    }

    /// The table of another scope for the same monomorphisation.
    pub(crate) fn table_in<M: 'static, T: Listed>(
        &self,
        scope: &Scope,
        make: impl FnOnce(Cow<'static, str>, usize) -> T,
    ) -> Arc<T> {
        scope.table(TypeId::of::<M>(), || make(self.path::<M>(), shards::SCOPED))
    }
}
