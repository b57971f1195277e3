//! What decides which items may be together in a batch, besides its size: weights and unique values.

use std::mem;

use super::{LAST_TICKET, Queued};
use crate::batch::group::Ticket;
use crate::batch::group::uniques::Number;

/// Weights and unique values, in step with the items once any item has one of them.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub(super) items: Vec<Extra>,
    pub(super) weight: u64,
    pub(super) max_weight: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(in crate::batch::group) struct Extra {
    pub(in crate::batch::group) weight: u64,
    pub(in crate::batch::group) unique: Option<Number>,
}

impl Extras {
    /// Takes those of the first items.
    fn take_first(&mut self, count: usize) -> Vec<Extra> {
        let taken = self.items.drain(..count.min(self.items.len())).collect();
        self.weight = self.sum();
        taken
    }

    /// Keeps those of these items.
    pub(super) fn keep(&mut self, kept: &[bool]) {
        let mut kept = kept.iter();
        self.items
            .retain(|_| kept.next().is_none_or(|&is_kept| is_kept));
    }

    fn sum(&self) -> u64 {
        let weights = self.items.iter().map(|extra| extra.weight);
        weights.fold(0, u64::saturating_add)
    }

    fn values(&self) -> Vec<Number> {
        let values = self.items.iter().filter_map(|extra| extra.unique);
        values.collect()
    }
}

impl<T, B, W, C> Queued<T, B, W, C> {
    pub(in crate::batch::group) fn is_oversize(&self) -> bool {
        self.extras
            .as_ref()
            .is_some_and(|extras| extras.max_weight.is_some_and(|most| extras.weight > most))
    }

    /// Whether an item of this weight would be too much.
    #[inline(always)]
    pub(in crate::batch::group) fn is_too_heavy(&self, weight: u64) -> bool {
        self.extras.as_ref().is_some_and(|extras| {
            extras
                .max_weight
                .is_some_and(|most| extras.weight.saturating_add(weight) > most)
        })
    }

    /// The extras of a place, which no longer count.
    pub(super) fn forget(&mut self, at: usize) -> Extra {
        let Some(extras) = &mut self.extras else {
            return Extra::default();
        };
        let Some(place) = extras.items.get_mut(at) else {
            return Extra::default();
        };
        let extra = mem::take(place);
        if at + 1 == self.callers.len() {
            extras.items.pop();
        }
        extras.weight = if extras.weight == u64::MAX {
            // The sum was saturated, so it can't be subtracted from.
            extras.sum()
        } else {
            extras.weight - extra.weight
        };
        extra
    }

    /// Takes items of the batch behind this one, in order, as long as `fits` allows it and there is room. Returns the tickets
    /// that they had there, from the first to the last, and what is to be added to these.
    pub(in crate::batch::group) fn top_up(
        &mut self,
        behind: &mut Self,
        mut fits: impl FnMut(&Extra) -> bool,
    ) -> Option<(Ticket, Ticket, Ticket)> {
        behind.close_gaps();
        let first = behind.callers.first()?.ticket;
        let offset = self.next_ticket.wrapping_sub(first);
        let mut count = 0;
        let mut weight = self.extras.as_ref().map_or(0, |extras| extras.weight);
        let most = self.extras.as_ref().and_then(|extras| extras.max_weight);
        for (at, caller) in behind.callers.iter().enumerate() {
            let extra = behind.extra(at);
            weight = weight.saturating_add(extra.weight);
            let fits = self.len() + count < self.size
                && most.is_none_or(|most| weight <= most)
                // Tickets rise, so no new ticket may have wrapped around.
                && (caller.ticket.wrapping_add(offset)) >= self.next_ticket
                && caller.ticket.wrapping_add(offset) < LAST_TICKET
                && fits(&extra);
            if !fits {
                break;
            }
            count += 1;
        }
        let last = behind.callers[count.checked_sub(1)?].ticket;
        let extras: Vec<Extra> = match &mut behind.extras {
            Some(theirs) => theirs.take_first(count),
            None => Vec::new(),
        };
        let mut callers = behind.callers.drain(..count);
        for (at, item) in behind.items.drain(..count).enumerate() {
            let Some(mut caller) = callers.next() else {
                break;
            };
            caller.ticket = caller.ticket.wrapping_add(offset);
            let extra = extras.get(at).copied().unwrap_or_default();
            self.put(item, caller, extra);
        }
        Some((first, last, offset))
    }

    fn extra(&self, at: usize) -> Extra {
        let extras = self.extras.as_ref();
        extras
            .and_then(|extras| extras.items.get(at))
            .copied()
            .unwrap_or_default()
    }

    /// The values that its items have to themselves.
    pub(in crate::batch::group) fn values(&self) -> Vec<Number> {
        match &self.extras {
            Some(extras) => extras.values(),
            None => Vec::new(),
        }
    }
}
