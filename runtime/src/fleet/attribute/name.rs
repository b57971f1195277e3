//! What a flight is called in the fleet.

use std::any::type_name;
use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};

use crate::key::Key;
use crate::sharing::Share;
use crate::site::Site;

/// What a flight is called in the fleet, but for the fleet and the build.
pub(super) struct Name {
    path: Cow<'static, str>,
    scope: String,
    types: [fn() -> &'static str; 4],
    pub(super) key: Option<Vec<u8>>,
}

impl Name {
    pub(super) fn of<M, K: Key, S: Share, P>(
        site: &Site,
        scope: String,
        key: Option<Vec<u8>>,
    ) -> Self {
        Self {
            path: site.path::<M>(),
            scope,
            types: [
                type_name::<M>,
                type_name::<K::Owned>,
                type_name::<S::Output>,
                // With and without `across_err`, results are written differently.
                type_name::<P>,
            ],
            key,
        }
    }

    /// The function, the scope, and a hash of the types.
    pub(super) fn text(&self) -> String {
        let Self { path, scope, .. } = self;
        let [a, b] = [1, 2].map(|seed| {
            let mut hasher = foldhash::quality::FixedState::with_seed(seed).build_hasher();
            for name in self.types {
                hasher.write(name().as_bytes());
                hasher.write_u8(0);
            }
            hasher.finish()
        });
        format!("{path}:{}:{scope}:{a:016x}{b:016x}", scope.len())
    }
}
