//! A task that has ended its bulk call, and waits for another batch.

use std::marker::PhantomData;
use std::ops::Deref;
use std::task::Context;

use tokio::runtime;

use super::Begins;
use super::duty::{Duty, Stage};
use crate::batch::idle::Asked;
use crate::batch::start::Start;
use crate::batch::table::{Given, Table, Work};
use crate::fixed::InScope;
use crate::watch::{self, Watched};

/// A task that stays for another batch of its function.
pub(super) struct IdleTask<H: Deref<Target: Work<R>>, R> {
    table: H,
    /// The hash of its last batch, in whose shard it asks.
    hash: u64,
    number: u64,
    runtime: runtime::Id,
    /// It has asked, so the shard does not know it any more.
    has_asked: bool,
    results: PhantomData<fn() -> R>,
}

impl<K, T, U, B, R> IdleTask<InScope<Table<K, T, U, B, R>>, R>
where
    Table<K, T, U, B, R>: Watched,
    U: Eq,
    B: Start,
{
    pub(super) fn stay(
        table: InScope<Table<K, T, U, B, R>>,
        hash: u64,
        runtime: runtime::Id,
        cx: &mut Context<'_>,
    ) -> Option<Self> {
        let number = table.stay(hash, runtime, cx.waker().clone())?;
        let idle = Self {
            table,
            hash,
            number,
            runtime,
            has_asked: false,
            results: PhantomData,
        };
        // The watch has to tick for it to end.
        watch::arm(&idle.table);
        Some(idle)
    }

    /// It is polled.
    pub(super) fn ask(&mut self) -> Asked<Begins<K, T, U, B, R>> {
        let asked = self.table.ask(self.hash, self.number);
        if let Asked::SleepsOn = asked {
            return Asked::SleepsOn;
        }
        self.has_asked = true;
        let Asked::Takes(Given { batch, turn, ready }) = asked else {
            return Asked::Ends;
        };
        let duty = Duty {
            table: self.table.clone(),
            batch,
            stage: Stage::Queued(turn),
            runtime: self.runtime,
        };
        Asked::Takes((duty, ready))
    }
}

impl<H: Deref<Target: Work<R>>, R> Drop for IdleTask<H, R> {
    fn drop(&mut self) {
        if !self.has_asked {
            self.table.lost(self.hash, self.number);
        }
    }
}
