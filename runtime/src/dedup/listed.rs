//! The row of a function in its scope's stats.

use std::sync::atomic::Ordering::Relaxed;

use super::table::Table;
use crate::scope::{Listed, UnderWay};
use crate::stats::{Kind, Row};
use crate::sync::Arc;

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Listed for Table<K, V> {
    fn row(&self) -> Row {
        let counts = self.counts();
        let rare = &self.rare;
        Row {
            function: self.function.path().clone(),
            calls: counts.opened + counts.alone + counts.joined + counts.refused,
            refused: counts.refused,
            executions: counts.opened + counts.alone + rare.executions.load(Relaxed),
            shared: counts
                .joined
                .saturating_sub(counts.unshared)
                .saturating_sub(counts.waiting),
            in_flight: counts.up,
            waiting: counts.waiting,
            panics: rare.panics.load(Relaxed),
            kind: Kind::Dedup {
                leaders_dropped: rare.left.load(Relaxed),
                leaders_stalled: rare.stalled.load(Relaxed),
                reentrant: rare.reentrant.load(Relaxed),
            },
            #[cfg(feature = "fleet")]
            fleet: rare.fleet.get().map(crate::fleet::OfFunction::stats),
        }
    }

    /// Flights wait for nothing but their body.
    fn flush_fixed(&'static self) -> Vec<Box<dyn UnderWay>> {
        Vec::new()
    }

    fn flush_owned(self: Arc<Self>) -> Vec<Box<dyn UnderWay>> {
        Vec::new()
    }
}
