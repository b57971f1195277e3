//! The graph of waits, without locks or threads: nodes are executions and limiters, an edge says that one waits for another.
//!
//! ```text
//!  flight ──follows──► flight        a call in the first body follows the second
//!  flight ──joins────► batch         a call in the body has an item in the batch
//!  batch  ──queued───► limiter       the batch is not allowed to start yet
//!  limiter ──held by─► bulk call     it ends only when the bulk call does
//!  outer  ──nested───► inner         the outer execution polls the inner one
//! ```
//!
//! Waits are noted when they begin, one edge each; equal ones share an edge that counts them. The last two kinds of edges
//! are in *support* of a node: they are there while the node itself waits for something, since only then can a path lead on.
//!
//! A search runs from both ends, one edge at a time, and ends when either side has nothing left to look at. So it is short if
//! few wait for the asker or the asker waits for few, however large the rest of the graph is.

mod search;
mod slab;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use foldhash::fast::FixedState;

use self::slab::Slab;
use super::execution::{Execution, Frame};

/// The number of a wait that was noted; zero is none.
pub(crate) type WaitId = u32;

/// Index of a node or an edge; zero is none.
type Index = u32;

/// `H` starts a queued batch although its limiter does not allow it.
pub(crate) struct Graph<H> {
    by_execution: HashMap<Execution, Index, FixedState>,
    by_ends: HashMap<(Index, Index), Index, FixedState>,
    nodes: Slab<Node<H>>,
    edges: Slab<Edge>,
    /// Steps of all searches.
    #[cfg(test)]
    steps: std::cell::Cell<usize>,
}

struct Node<H> {
    execution: Execution,
    /// The newest edges from it and to it.
    out: Index,
    into: Index,
    /// Edges to it that are there in its support.
    support: Vec<Index>,
    queued: Option<Queued<H>>,
    /// Edges from it that are there as long as anybody waits for it: to the batches that its items have moved to.
    followed: Vec<Index>,
}

/// A batch that waits for limiters.
struct Queued<H> {
    edges: Vec<Index>,
    hurry: H,
}

struct Edge {
    from: Index,
    to: Index,
    count: u32,
    /// Its neighbours in the list of edges from the same node, and to the same node.
    out: Links,
    into: Links,
}

#[derive(Clone, Copy, Default)]
struct Links {
    newer: Index,
    older: Index,
}

/// A path was found, and nothing on it can be hurried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Circle;

impl<H> Graph<H> {
    pub(crate) fn new() -> Self {
        Self {
            by_execution: HashMap::with_hasher(FixedState::default()),
            by_ends: HashMap::with_hasher(FixedState::default()),
            nodes: Slab::new(),
            edges: Slab::new(),
            #[cfg(test)]
            steps: std::cell::Cell::new(0),
        }
    }

    /// The innermost of these frames waits for `to`. Returns the wait's number.
    pub(crate) fn note(&mut self, around: &[Frame], to: Execution) -> WaitId {
        let Some(innermost) = around.last() else {
            return 0;
        };
        let to = self.node(to);
        let from = self.node(innermost.execution);
        let edge = self.add(from, to);
        self.support(around);
        edge
    }

    /// Whether a wait that was noted began inside this execution.
    pub(crate) fn is_from(&self, wait: WaitId, execution: Execution) -> bool {
        self.nodes[self.edges[wait].from].execution == execution
    }

    /// A wait has ended. Adds what is to be dropped, after unlocking.
    pub(crate) fn strike(&mut self, wait: WaitId, dropped: &mut Vec<H>) {
        let mut struck = vec![wait];
        while let Some(edge) = struck.pop() {
            let Some((from, to)) = self.remove(edge) else {
                continue;
            };
            if self.nodes[from].out == 0 {
                struck.append(&mut self.nodes[from].support);
            }
            if self.nodes[to].into == 0 {
                if let Some(queued) = self.nodes[to].queued.take() {
                    struck.extend(queued.edges);
                    dropped.push(queued.hurry);
                }
                struck.append(&mut self.nodes[to].followed);
            }
            self.tidy(from);
            self.tidy(to);
        }
        if self.by_execution.is_empty() {
            // A burst is over.
            *self = Self::new();
        }
    }

    /// A batch that somebody waits for is held up by limiters.
    pub(crate) fn queue(
        &mut self,
        batch: Execution,
        limiters: &[Execution],
        hurry: H,
    ) -> Option<H> {
        let batch = match self.by_execution.get(&batch) {
            Some(&batch) if self.nodes[batch].queued.is_none() => batch,
            _ => return Some(hurry),
        };
        let mut edges = Vec::new();
        for &limiter in limiters {
            let limiter = self.node(limiter);
            edges.push(self.add(batch, limiter));
        }
        self.nodes[batch].queued = Some(Queued { edges, hurry });
        None
    }

    /// Items of a batch have moved to another one, so what waits for the first batch waits for the second, too.
    pub(crate) fn follow(&mut self, from: Execution, to: Execution) {
        if let Some(&from) = self.by_execution.get(&from) {
            let to = self.node(to);
            let edge = self.add(from, to);
            self.nodes[from].followed.push(edge);
        }
    }

    /// Whether one of `starts` waits for one of these frames, or for what they hold. If it does so only through batches that
    /// are queued, these are taken out of their queues: they are added to `hurried`, to be told after unlocking.
    pub(crate) fn untangle(
        &mut self,
        starts: &[Execution],
        around: &[Frame],
        hurried: &mut Vec<H>,
    ) -> Result<(), Circle> {
        while let Some(path) = self.path(starts, around) {
            let queued = path.into_iter().find_map(|node| {
                let index = *self.by_execution.get(&node)?;
                self.nodes[index].queued.take()
            });
            let Some(Queued { edges, hurry }) = queued else {
                return Err(Circle);
            };
            hurried.push(hurry);
            edges.into_iter().for_each(|edge| {
                self.strike(edge, hurried);
            });
        }
        Ok(())
    }

    /// Sees to it that paths lead on to the frames: their nested calls, and what they hold.
    fn support(&mut self, around: &[Frame]) {
        for (at, frame) in around.iter().enumerate().rev() {
            let node = self.node(frame.execution);
            let outer = at.checked_sub(1).map(|outer| around[outer].execution);
            let mut any_new = false;
            for from in outer.into_iter().chain(frame.held.iter().copied()) {
                let from = self.node(from);
                let known = self.by_ends.get(&(from, node));
                if known.is_some_and(|edge| self.nodes[node].support.contains(edge)) {
                    continue;
                }
                let edge = self.add(from, node);
                self.nodes[node].support.push(edge);
                any_new = true;
            }
            if !any_new {
                // The outer frames were handled together with this one.
                break;
            }
        }
    }

    fn node(&mut self, execution: Execution) -> Index {
        if let Some(&node) = self.by_execution.get(&execution) {
            return node;
        }
        let node = self.nodes.insert(Node {
            execution,
            out: 0,
            into: 0,
            support: Vec::new(),
            queued: None,
            followed: Vec::new(),
        });
        self.by_execution.insert(execution, node);
        node
    }

    fn add(&mut self, from: Index, to: Index) -> Index {
        if let Some(&edge) = self.by_ends.get(&(from, to)) {
            self.edges[edge].count += 1;
            return edge;
        }
        let links = |older| Links { newer: 0, older };
        let (out, into) = (self.nodes[from].out, self.nodes[to].into);
        let edge = self.edges.insert(Edge {
            from,
            to,
            count: 1,
            out: links(out),
            into: links(into),
        });
        if out != 0 {
            self.edges[out].out.newer = edge;
        }
        if into != 0 {
            self.edges[into].into.newer = edge;
        }
        self.nodes[from].out = edge;
        self.nodes[to].into = edge;
        self.by_ends.insert((from, to), edge);
        edge
    }

    /// Returns the ends of the edge, if it is gone now.
    fn remove(&mut self, edge: Index) -> Option<(Index, Index)> {
        let it = &mut self.edges[edge];
        it.count -= 1;
        if it.count > 0 {
            return None;
        }
        let Edge {
            from,
            to,
            out,
            into,
            ..
        } = self.edges.remove(edge);
        self.by_ends.remove(&(from, to));
        match out.newer {
            0 => self.nodes[from].out = out.older,
            newer => self.edges[newer].out.older = out.older,
        }
        if out.older != 0 {
            self.edges[out.older].out.newer = out.newer;
        }
        match into.newer {
            0 => self.nodes[to].into = into.older,
            newer => self.edges[newer].into.older = into.older,
        }
        if into.older != 0 {
            self.edges[into.older].into.newer = into.newer;
        }
        Some((from, to))
    }

    fn tidy(&mut self, node: Index) {
        let it = &self.nodes[node];
        if it.out == 0 && it.into == 0 {
            let it = self.nodes.remove(node);
            self.by_execution.remove(&it.execution);
        }
    }

    /// The number of nodes and edges.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.by_execution.len(), self.by_ends.len())
    }
}
