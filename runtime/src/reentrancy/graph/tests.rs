use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn execution(id: u64) -> Execution {
    Execution { table: 8, id }
}

fn limiter(id: u64) -> Execution {
    Execution::limiter(16, id)
}

fn frames(ids: &[u64]) -> Vec<Frame> {
    let frame = |&id| Frame {
        execution: execution(id),
        held: Vec::new(),
    };
    ids.iter().map(frame).collect()
}

/// Notes a wait that must be allowed.
fn wait(graph: &mut Graph<u64>, around: &[u64], to: u64) -> WaitId {
    let around = frames(around);
    let untangled = graph.untangle(&[execution(to)], &around, &mut Vec::new());
    assert_eq!(untangled, Ok(()));
    graph.note(&around, execution(to))
}

fn is_circle(graph: &mut Graph<u64>, around: &[u64], to: u64) -> bool {
    let mut hurried = Vec::new();
    let untangled = graph.untangle(&[execution(to)], &frames(around), &mut hurried);
    assert_eq!(hurried, []);
    untangled.is_err()
}

fn end(graph: &mut Graph<u64>, waits: impl IntoIterator<Item = WaitId>) {
    let mut dropped = Vec::new();
    for wait in waits {
        graph.strike(wait, &mut dropped);
    }
}

#[test]
fn limiters_are_told_apart_from_each_other_and_from_executions() {
    let all = [
        Execution::limiter(8, 1),
        Execution::limiter(8, 2),
        Execution::limiter(16, 1),
        Execution { table: 8, id: 1 },
        Execution { table: 16, id: 1 },
    ];
    assert_eq!(BTreeSet::from(all).len(), all.len());
}

#[test]
fn a_circle_is_seen_however_long_and_gone_with_one_of_its_waits() {
    let mut graph = Graph::new();
    let waits: Vec<_> = (0..10).map(|id| wait(&mut graph, &[id], id + 1)).collect();
    assert!(is_circle(&mut graph, &[10], 0));
    assert!(is_circle(&mut graph, &[20, 10, 30], 5));
    assert!(!is_circle(&mut graph, &[0], 10));
    end(&mut graph, [waits[4]]);
    assert!(!is_circle(&mut graph, &[10], 0));
    assert!(is_circle(&mut graph, &[10], 5));
    end(
        &mut graph,
        (0..10).filter(|&at| at != 4).map(|at| waits[at]),
    );
    assert_eq!(graph.size(), (0, 0));
}

#[test]
fn an_execution_that_waits_twice_waits_until_both_waits_have_ended() {
    let mut graph = Graph::new();
    let waits = [(); 2].map(|()| wait(&mut graph, &[1], 2));
    assert_eq!(graph.size(), (2, 1), "equal waits share an edge");
    end(&mut graph, [waits[0]]);
    assert!(is_circle(&mut graph, &[2], 1));
    end(&mut graph, [waits[1]]);
    assert!(!is_circle(&mut graph, &[2], 1));
}

#[test]
fn what_is_polled_inside_waits_for_the_outer_execution() {
    let mut graph = Graph::new();
    let first = wait(&mut graph, &[1, 2, 3], 4);
    for outer in 1..=3 {
        assert!(is_circle(&mut graph, &[4], outer), "{outer}");
    }
    assert_eq!(graph.size(), (4, 3), "one edge for each frame");
    let another = wait(&mut graph, &[1, 2, 3], 5);
    assert_eq!(graph.size(), (5, 4), "and one for each further wait");
    end(&mut graph, [first, another]);
    assert_eq!(graph.size(), (0, 0));
}

#[test]
fn a_queued_batch_is_hurried_if_it_would_wait_for_its_own_callers() {
    let mut graph = Graph::new();
    // The bulk call 1 holds the limiter 7, and calls a flight, 2, which has joined the batch 3.
    let mut bulk = frames(&[1]);
    bulk[0].held = vec![limiter(7)];
    let inner = graph.note(&frames(&[2]), execution(3));
    assert_eq!(graph.queue(execution(3), &[limiter(7)], 33), None);
    let mut hurried = Vec::new();
    let starts = [execution(2)];
    assert_eq!(graph.untangle(&starts, &bulk, &mut hurried), Ok(()));
    assert_eq!(hurried, [33], "the batch, and the flight goes on waiting");
    assert_eq!(graph.untangle(&starts, &bulk, &mut hurried), Ok(()));
    assert_eq!(hurried, [33], "once");
    end(&mut graph, [inner]);
    assert_eq!(graph.size(), (0, 0));
}

#[test]
fn a_batch_that_nobody_waits_for_is_not_queued() {
    let mut graph = Graph::new();
    assert_eq!(graph.queue(execution(3), &[limiter(7)], 33), Some(33));
    let wait = wait(&mut graph, &[1], 3);
    assert_eq!(graph.queue(execution(3), &[limiter(7)], 34), None);
    assert_eq!(
        graph.queue(execution(3), &[limiter(7)], 35),
        Some(35),
        "it is"
    );
    let mut dropped = Vec::new();
    graph.strike(wait, &mut dropped);
    assert_eq!(dropped, [34]);
    assert_eq!(graph.size(), (0, 0));
}

#[test]
fn whoever_waits_for_an_item_that_has_moved_waits_for_its_new_batch() {
    let mut graph = Graph::new();
    let wait = wait(&mut graph, &[1], 2);
    graph.follow(execution(2), execution(3));
    assert!(is_circle(&mut graph, &[3], 1));
    graph.follow(execution(8), execution(9));
    end(&mut graph, [wait]);
    assert_eq!(graph.size(), (0, 0));
}

#[test]
fn a_search_is_as_short_as_its_shorter_side() {
    let mut graph = Graph::new();
    let mut waits: Vec<_> = (0..10_000)
        .map(|item| wait(&mut graph, &[1], 100 + item))
        .collect();
    // Many executions ask whether 1 waits for them; nobody waits for any of them.
    for site in 0..10_000 {
        waits.push(wait(&mut graph, &[1_000_000 + site], 1));
    }
    // And 1 asks about many more items, which wait for nothing.
    for item in 0..10_000 {
        waits.push(wait(&mut graph, &[1], 50_000 + item));
    }
    let steps = graph.steps.get();
    assert!(steps < 100_000, "{steps} steps for 30,000 questions");
    end(&mut graph, waits);
    assert_eq!(graph.size(), (0, 0));
}

/// What is promised: an execution waits for what a call inside it waits for, and for nothing that it does not. The graph
/// with its shared and supporting edges is held against the list of the waits themselves.
#[test]
fn every_answer_is_that_of_the_list_of_waits() {
    (0..3_000).for_each(history);
}

struct Wait {
    around: Vec<Frame>,
    to: Execution,
    wait: WaitId,
}

fn history(seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let mut graph = Graph::new();
    // An execution is polled inside of the same others all its life, and holds what it holds.
    let mut inside: BTreeMap<u64, Vec<Frame>> = BTreeMap::new();
    for id in 0..8 {
        let outer = if id > 0 && below(2) == 0 {
            inside[&below(id)].clone()
        } else {
            Vec::new()
        };
        let held = (below(3) == 0)
            .then(|| limiter(below(2)))
            .into_iter()
            .collect();
        let frame = Frame {
            execution: execution(id),
            held,
        };
        inside.insert(id, outer.into_iter().chain([frame]).collect());
    }
    let mut waits: Vec<Wait> = Vec::new();
    let mut queued: BTreeSet<u64> = BTreeSet::new();
    for _ in 0..60 {
        match below(8) {
            0..=3 => {
                let around = inside[&below(8)].clone();
                let to = below(10);
                let expected = reach(&waits, &queued, execution(to), &around);
                let mut hurried = Vec::new();
                let untangled = graph.untangle(&[execution(to)], &around, &mut hurried);
                // Batches were hurried only if there was a circle, and then there is none that they are part of.
                assert!(
                    expected || hurried.is_empty() && untangled.is_ok(),
                    "seed {seed}"
                );
                for batch in hurried {
                    assert!(queued.remove(&batch));
                }
                let is_circle = reach(&waits, &queued, execution(to), &around);
                assert_eq!(untangled.is_err(), is_circle, "seed {seed}");
                if untangled.is_ok() {
                    let wait = graph.note(&around, execution(to));
                    let to = execution(to);
                    waits.push(Wait { around, to, wait });
                }
            }
            4 => {
                // 8 and 9 are batches.
                let batch = 8 + below(2);
                let limiters = [limiter(below(2))];
                if graph.queue(execution(batch), &limiters, batch).is_none() {
                    assert!(waits.iter().any(|wait| wait.to == execution(batch)));
                    queued.insert(batch);
                    LIMITERS.with_borrow_mut(|all| all.insert(batch, limiters[0]));
                }
            }
            _ if waits.is_empty() => {}
            _ => {
                let wait = waits.swap_remove(below(waits.len() as u64) as usize);
                let mut dropped = Vec::new();
                graph.strike(wait.wait, &mut dropped);
                for batch in dropped {
                    assert!(waits.iter().all(|wait| wait.to != execution(batch)));
                    assert!(queued.remove(&batch));
                }
            }
        }
    }
    end(&mut graph, waits.into_iter().map(|wait| wait.wait));
    assert_eq!(graph.size(), (0, 0), "seed {seed}");
}

thread_local! {
    /// The limiters for which the queued batches of a history wait.
    static LIMITERS: std::cell::RefCell<BTreeMap<u64, Execution>> = const { std::cell::RefCell::new(BTreeMap::new()) };
}

/// Whether `from` waits for one of these frames or for what they hold.
fn reach(waits: &[Wait], queued: &BTreeSet<u64>, from: Execution, around: &[Frame]) -> bool {
    let goal = |at: Execution| {
        around
            .iter()
            .any(|frame| frame.execution == at || frame.held.contains(&at))
    };
    let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
    while let Some(at) = next.pop() {
        if goal(at) {
            return true;
        }
        let mut found = Vec::new();
        for wait in waits {
            for (depth, frame) in wait.around.iter().enumerate() {
                // It waits for the call's target, and what is queued for what it holds waits for it.
                if frame.execution == at {
                    found.push(wait.to);
                    found.extend(wait.around[depth + 1..].iter().map(|inner| inner.execution));
                }
                if frame.held.contains(&at) {
                    found.push(frame.execution);
                }
            }
        }
        for &batch in queued {
            if at == execution(batch) {
                LIMITERS.with_borrow(|all| found.push(all[&batch]));
            }
        }
        next.extend(found.into_iter().filter(|&it| seen.insert(it)));
    }
    false
}
