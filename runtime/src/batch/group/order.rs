//! Where each batch of a group is (open, in line or aside), and which of them may run.

use std::ops::{Deref, DerefMut};

use tokio::time::Instant;

use super::queued::Queued;
use super::{Closing, Group, Id};
use crate::batch::start::Start;

/// The most empty boxes that a group keeps while it is not idle.
pub(super) const SPARE: usize = 1024;

/// A queued batch in a box, so that it is not moved within the queue. The box is used again for a later batch, which saves an
/// allocation.
pub(super) struct Boxed<Q>(Box<Option<Q>>);

impl<T, U: Eq, B: Start, W, C: Clone> Group<T, U, B, W, C> {
    /// Closes the open batch. Returns its task.
    pub(super) fn close(&mut self, why: Closing) -> Option<W> {
        let batch = self.open.take()?;
        self.list(batch, why)
    }

    pub(super) fn list(&mut self, mut batch: Boxed<Queued<T, B, W, C>>, why: Closing) -> Option<W> {
        batch.closed = Some(why);
        batch.refills = why == Closing::Size;
        let task = batch.task.take();
        if batch.orphaned || batch.blocked > 0 {
            self.aside.insert(batch);
        } else {
            let id = batch.id;
            self.line.push_back((id, Some(batch)));
            if B::MAY_NEED_PERMIT {
                self.ask(id);
            }
        }
        task
    }

    /// A closed batch has come into line. If it is due, it takes its place in the queue for a permit.
    fn ask(&mut self, id: Id) {
        // A batch whose last item has just left is about to be taken out.
        let batch = self.find(id).filter(|batch| batch.len() > 0);
        let Some(opened) = batch.map(|batch| batch.opened()) else {
            return;
        };
        if self.ready(id, opened).is_some() {
            self.has_permit(id);
        }
    }

    pub(super) fn find(&mut self, id: Id) -> Option<&mut Queued<T, B, W, C>> {
        if let Some(at) = self.in_line(id) {
            return self.line[at].1.as_deref_mut();
        }
        if self.open.as_ref().is_some_and(|open| open.id == id) {
            return self.open.as_deref_mut();
        }
        self.aside.get_mut(id)
    }

    fn in_line(&self, id: Id) -> Option<usize> {
        let at = self.place_in_line(id)?;
        self.line[at].1.as_ref().map(|_| at)
    }

    fn place_in_line(&self, id: Id) -> Option<usize> {
        // Most likely the batch is next, or has just been closed.
        if self.line.front()?.0 == id {
            return Some(0);
        }
        if self.line.back()?.0 == id {
            return Some(self.line.len() - 1);
        }
        self.line.binary_search_by_key(&id, |&(id, _)| id).ok()
    }

    /// Takes a batch out of the queue.
    pub(super) fn take(&mut self, id: Id) -> Option<Queued<T, B, W, C>> {
        let mut place = match self.in_line(id) {
            Some(at) => self.out_of_line(at),
            None => match self.open.take_if(|open| open.id == id) {
                Some(open) => Some(open),
                None => self.aside.remove(id),
            },
        }?;
        let batch = place.0.take();
        if self.spare.len() < SPARE {
            self.spare.push(place);
        }
        batch
    }

    fn out_of_line(&mut self, at: usize) -> Option<Boxed<Queued<T, B, W, C>>> {
        let batch = self.line[at].1.take();
        self.trim();
        batch
    }

    /// Restores that both ends of the line are `Some`.
    pub(super) fn trim(&mut self) {
        while self.line.front().is_some_and(|(_, batch)| batch.is_none()) {
            self.line.pop_front();
        }
        while self.line.back().is_some_and(|(_, batch)| batch.is_none()) {
            self.line.pop_back();
        }
    }

    /// A closed batch can't start, for now.
    #[cold]
    pub(super) fn set_aside(&mut self, id: Id) {
        if let Some(batch) = self.in_line(id).and_then(|at| self.out_of_line(at)) {
            self.aside.insert(batch);
        }
    }

    /// Puts a batch back in line, unless there is another reason why it can't start.
    #[cold]
    pub(super) fn bring_back(&mut self, id: Id) {
        let Some(batch) = self.aside.get_mut(id) else {
            return;
        };
        if batch.orphaned || batch.blocked > 0 {
            return;
        }
        let batch = self.aside.remove(id);
        match self.place_in_line(id) {
            Some(at) => self.line[at].1 = batch,
            None if self.line.back().is_none_or(|&(last, _)| last < id) => {
                self.line.push_back((id, batch));
            }
            // All batches before it have gone from the line, and `trim` has removed its own entry with theirs.
            None => {
                let mut at = self.line.len();
                self.line.push_back((id, batch));
                while at > 0 && self.line[at - 1].0 > id {
                    self.line.swap(at - 1, at);
                    at -= 1;
                }
            }
        }
        if B::MAY_NEED_PERMIT {
            self.ask(id);
        }
    }

    /// Why a batch could run now, if it could.
    pub(super) fn ready(&mut self, id: Id, now: Instant) -> Option<Closing> {
        let slots = self.slots();
        slots.ready(self.find(id)?, now)
    }

    pub(super) fn slots(&self) -> Slots {
        Slots {
            running: self.running(),
            most: self.concurrency,
            front: self.line.front().map(|&(id, _)| id),
        }
    }

    /// Takes the task of the batch that may run next, if there is a slot. If it finds that it may not, it registers again.
    #[inline]
    pub(super) fn next(&mut self) -> Option<W> {
        if self.is_limited() || self.open.as_ref().is_some_and(|open| open.eager) {
            self.next_in_line()
        } else {
            // Without a limit, batches do not wait for one another.
            None
        }
    }

    fn next_in_line(&mut self) -> Option<W> {
        if self.running() >= self.concurrency {
            return None;
        }
        if let Some((_, Some(first))) = self.line.front_mut() {
            return first.task.take();
        }
        let (limited, idle) = (self.is_limited(), self.running() == 0);
        let open = self.open.as_mut()?;
        // Without a limit, only an eager batch waits for others.
        let waits = !open.orphaned && (limited || open.eager && idle);
        waits.then(|| open.task.take())?
    }
}

/// What decides whether a batch may run, besides the batch itself.
pub(super) struct Slots {
    running: usize,
    most: usize,
    /// The first in line.
    front: Option<Id>,
}

impl Slots {
    /// Why a batch could run now, if it could.
    #[inline]
    pub(super) fn ready<T, B, W, C>(
        &self,
        batch: &Queued<T, B, W, C>,
        now: Instant,
    ) -> Option<Closing> {
        if batch.urgent {
            return Some(batch.closed.unwrap_or(Closing::Eager));
        }
        if self.running >= self.most || batch.blocked > 0 {
            return None;
        }
        let limited = self.most != usize::MAX;
        match batch.closed {
            // Without a limit batches do not wait for slots, so the first task that is polled runs first.
            Some(closed) => (!limited || self.front == Some(batch.id)).then_some(closed),
            None if limited && self.front.is_some() => None,
            None if batch.eager && self.front.is_none() && self.running == 0 => {
                Some(Closing::Eager)
            }
            None => batch
                .due()
                .is_some_and(|due| due <= now)
                .then_some(Closing::Delay),
        }
    }
}

impl<Q> Boxed<Q> {
    pub(super) fn of(mut self, batch: Q) -> Self {
        *self.0 = Some(batch);
        self
    }
}

impl<Q> Default for Boxed<Q> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<Q> Deref for Boxed<Q> {
    type Target = Q;
    #[inline]
    fn deref(&self) -> &Q {
        (*self.0).as_ref().expect("a place in the queue is taken")
    }
}

impl<Q> DerefMut for Boxed<Q> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Q {
        (*self.0).as_mut().expect("a place in the queue is taken")
    }
}
