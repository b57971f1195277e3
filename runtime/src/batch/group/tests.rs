//! What a random history does not tell, because everybody would still be served.

use std::time::Duration;

use tokio::time::Instant;

use super::order::SPARE;
use super::*;
use crate::batch::limits::Limits;
use crate::observe;

type Played = Group<u32, u32, (), u32, ()>;

/// A group with one open batch, number 0, whose only caller has the waker 1.
fn opened(limits: Limits, now: Instant) -> Played {
    let mut group = Group::new();
    open(&mut group, 0, limits, now);
    group
}

fn open(group: &mut Played, id: Id, limits: Limits, now: Instant) {
    let opening = Opening {
        shared: (),
        limits,
        bulk: (),
        items: Vec::new(),
        callers: Vec::new(),
        now,
    };
    let coming = Coming {
        item: 0,
        waker: Some(1),
        seen: observe::Caller::current(),
        weight: 0,
        unique: None,
    };
    let opened = group.open(id, opening, coming);
    assert_eq!((opened.ticket, opened.wake), (0, vec![]));
}

#[test]
fn a_waker_that_does_is_not_asked_for_again() {
    let now = Instant::now();
    let mut group = opened(Limits::new(2, 10), now);
    let asked = group.queuing(0, 0, |_| false, &mut None);
    assert!(matches!(asked, Some(Queuing::NeedsWaker)));
    let same = group.queuing(0, 0, |&old| old == 1, &mut None);
    assert!(matches!(same, Some(Queuing::Waits)));
    let mut waker = Some(2);
    let replaced = group.queuing(0, 0, |_| false, &mut waker);
    assert!(matches!(replaced, Some(Queuing::Waits)));
    assert_eq!(waker, Some(1));

    let due = now + Duration::from_millis(10);
    let mut task = |same: bool, mut waker| match group.go(0, 0, None, || now, |_| same, &mut waker)
    {
        Ok(Step::Wait(until)) => {
            assert_eq!(until, Some(due));
            Ok(waker)
        }
        Err(Again::NeedsWaker) => Err("a waker is needed"),
        _ => panic!("it has to wait"),
    };
    assert!(task(true, None).is_err(), "it has none yet");
    assert_eq!(task(true, Some(7)), Ok(None));
    assert_eq!(task(true, None), Ok(None));
    assert!(task(false, None).is_err());
    assert_eq!(task(false, Some(8)), Ok(Some(7)));
}

#[test]
fn an_eager_batch_is_woken_when_the_last_of_those_that_run_has_ended() {
    let now = Instant::now();
    let eager = |size| Limits::new(size, 10).eager();
    let mut group = opened(eager(2), now);
    let go = |group: &mut Played, id| {
        let go = group.go(id, 0, None, || now, |_| false, &mut Some(7));
        matches!(go, Ok(Step::Run(Run { wake: None, .. })))
    };
    assert!(go(&mut group, 0), "nothing runs");
    open(&mut group, 1, eager(1), now);
    assert!(go(&mut group, 1), "it is full");
    open(&mut group, 2, eager(2), now);
    assert!(!go(&mut group, 2), "others run");
    assert_eq!(group.ended(0).next, None);
    assert_eq!(group.ended(1).next, Some(7));
}

#[test]
fn a_task_that_comes_back_keeps_its_batch_if_nobody_has_adopted_it() {
    let now = Instant::now();
    let mut group = opened(Limits::new(2, 10), now);
    let go = |group: &mut Played, turn| group.go(0, turn, None, || now, |_| false, &mut Some(7));
    assert_eq!(group.orphan(0, 0).wake, [1]);
    assert!(matches!(go(&mut group, 0), Ok(Step::Wait(Some(_)))));
    let polled = group.queuing(0, 0, |_| false, &mut Some(1));
    assert!(matches!(polled, Some(Queuing::Waits)));
    // One that was adopted is another's.
    assert_eq!(group.orphan(0, 0).wake, [1]);
    let polled = group.queuing(0, 0, |_| false, &mut Some(1));
    assert!(matches!(polled, Some(Queuing::Adopts(1))));
    assert!(matches!(go(&mut group, 0), Ok(Step::Gone)));
    assert!(matches!(go(&mut group, 1), Ok(Step::Wait(Some(_)))));
}

#[test]
fn patience_with_tasks_that_stand_still_doubles_up_to_a_bound() {
    let now = Instant::now();
    let mut group = opened(Limits::new(1, 0), now);
    let mut patience = Vec::new();
    for turn in 0..11 {
        let mut ticks = 0;
        let stalled = loop {
            let (mut tasks, mut wake, mut stalled) = (Vec::new(), Vec::new(), Vec::new());
            group.tick(now, &mut tasks, &mut Vec::new(), &mut wake, &mut stalled);
            ticks += 1;
            if !stalled.is_empty() {
                assert_eq!(wake, [1], "its caller");
                break stalled.len();
            }
        };
        assert_eq!(stalled, 1);
        patience.push(ticks);
        // The caller adopts it, and its new task stands still as well.
        let adopted = group.queuing(0, 0, |_| false, &mut Some(1));
        assert!(matches!(adopted, Some(Queuing::Adopts(next)) if next == turn + 1));
    }
    assert_eq!(patience, [2, 4, 8, 16, 32, 64, 128, 256, 512, 512, 512]);
}

#[test]
fn numbers_that_follow_one_another_are_far_apart_in_a_table() {
    use std::collections::BTreeSet;
    // hashbrown's tags are the upper bits, its places the lower ones.
    let tags: BTreeSet<_> = (0..128).map(|id| hash(id) >> 57).collect();
    let places: BTreeSet<_> = (0..128).map(|id| hash(id) & 127).collect();
    assert!(tags.len() > 100 && places.len() == 128);
}

#[test]
fn places_are_used_again_and_no_more_are_kept_than_that() {
    let now = Instant::now();
    let mut group = Group::new();
    let ids = 0..=SPARE as Id;
    for id in ids.clone() {
        open(&mut group, id, Limits::new(1, 10), now);
    }
    for id in ids {
        let go = group.go(id, 0, None, || now, |_| false, &mut None);
        assert!(matches!(go, Ok(Step::Run(_))));
    }
    assert_eq!(group.spare.len(), SPARE);
    open(&mut group, 2 * SPARE as Id, Limits::new(1, 10), now);
    assert_eq!(group.spare.len(), SPARE - 1);
}
