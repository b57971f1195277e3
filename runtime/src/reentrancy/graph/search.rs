//! The search for a path, from both ends.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{Edge, Graph, Index, Node};
use crate::reentrancy::execution::{Execution, Frame};

impl<H> Graph<H> {
    /// A path from one of `starts` to one of the goals, that is to the frames and what they hold.
    pub(super) fn path(&self, starts: &[Execution], around: &[Frame]) -> Option<Vec<Execution>> {
        let goals = around
            .iter()
            .flat_map(|frame| frame.held.iter().copied().chain([frame.execution]));
        let goals: Vec<Execution> = goals.collect();
        if let Some(&start) = starts.iter().find(|start| goals.contains(start)) {
            return Some(vec![start]);
        }
        let mut ahead = Side::new(self, starts, |node| node.out);
        let mut behind = Side::new(self, &goals, |node| node.into);
        loop {
            #[cfg(test)]
            self.steps.set(self.steps.get() + 1);
            let step = ahead.step(self, |edge| (edge.to, edge.out.older), |node| node.out)?;
            let met = step.filter(|node| behind.seen.contains_key(node));
            let met = match met {
                Some(met) => Some(met),
                None => {
                    let step =
                        behind.step(self, |edge| (edge.from, edge.into.older), |node| node.into)?;
                    step.filter(|node| ahead.seen.contains_key(node))
                }
            };
            if let Some(met) = met {
                let mut path = ahead.back(met);
                path.reverse();
                path.extend(behind.back(met));
                let executions = path.into_iter().map(|node| self.nodes[node].execution);
                return Some(executions.collect());
            }
        }
    }
}

/// One side of a search.
struct Side {
    /// Each node that was seen, and from where.
    seen: HashMap<Index, Index, FixedState>,
    /// Nodes to be looked at, each with its next edge.
    next: Vec<(Index, Index)>,
}

impl Side {
    fn new<H>(graph: &Graph<H>, starts: &[Execution], first: impl Fn(&Node<H>) -> Index) -> Self {
        let starts = starts
            .iter()
            .filter_map(|start| graph.by_execution.get(start));
        let starts: Vec<Index> = starts.copied().collect();
        Self {
            seen: starts.iter().map(|&start| (start, 0)).collect(),
            next: starts
                .iter()
                .map(|&start| (start, first(&graph.nodes[start])))
                .collect(),
        }
    }

    /// Looks at one more edge. `None`: there is none. Returns the node that was seen for the first time, if one was.
    fn step<H>(
        &mut self,
        graph: &Graph<H>,
        along: impl Fn(&Edge) -> (Index, Index),
        first: impl Fn(&Node<H>) -> Index,
    ) -> Option<Option<Index>> {
        loop {
            let (node, edge) = self.next.last_mut()?;
            if *edge == 0 {
                self.next.pop();
                continue;
            }
            let from = *node;
            let (to, following) = along(&graph.edges[*edge]);
            *edge = following;
            if self.seen.contains_key(&to) {
                return Some(None);
            }
            self.seen.insert(to, from);
            self.next.push((to, first(&graph.nodes[to])));
            return Some(Some(to));
        }
    }

    /// From a node that was seen back to where the search began.
    fn back(&self, mut node: Index) -> Vec<Index> {
        let mut path = Vec::new();
        while node != 0 {
            path.push(node);
            node = self.seen[&node];
        }
        path
    }
}
