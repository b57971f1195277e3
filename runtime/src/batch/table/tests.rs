use std::task::Waker;

use super::*;
use crate::batch::item::Item;
use crate::batch::limits::Limits;
use crate::key::{ByRef, ByValue};
use crate::strangers::{names, numbers, picked, spread};
use crate::watch::Watched;

fn opens(delay_ms: u64) -> Opens<()> {
    Opens {
        limits: Limits::new(2, delay_ms),
        bulk: (),
        runtime: None,
    }
}

#[test]
fn keys_that_a_stranger_picks_spread_like_random_ones() {
    let ids = Table::<_, (), (), (), ()>::new("ids".into(), 1);
    let by_id = |id: &u64| ids.hash(&(ByValue(id), ()));
    spread(&picked(numbers()), by_id, by_id);
    let by_name = Table::<_, (), (), (), ()>::new("names".into(), 1);
    let name = |name: &String| by_name.hash(&(ByRef(name.as_str()), ()));
    spread(&picked(names()), name, by_id);
}

#[test]
fn what_an_idle_group_had_room_for_is_kept_until_a_tick() {
    let table = Table::<_, (), (), (), ()>::new("spare".into(), 1);
    let key = (ByValue(&1_u64), ());
    let join = || {
        table
            .join(
                Waker::noop().clone(),
                &key,
                Item::new(()),
                usize::MAX,
                || opens(1000),
            )
            .unwrap()
    };
    let spare = || table.shards.of(0).lock().spare.group.is_some();
    let seated = join();
    assert!(!spare(), "nothing is idle");
    table.leave(&seated.batch, seated.ticket);
    assert!(spare());
    let seated = join();
    assert!(!spare(), "it is used again");
    assert!(table.tick(), "a group is there");
    table.leave(&seated.batch, seated.ticket);
    assert!(spare());
    assert!(!table.tick());
    assert!(!spare(), "it is given back");
}

#[test]
fn keys_spread_over_the_shards() {
    let table = Table::<_, (), (), (), ()>::new("spread".into(), 8);
    for id in 0..1000_u64 {
        let key = (ByValue(&id), ());
        table
            .join(
                Waker::noop().clone(),
                &key,
                Item::new(()),
                usize::MAX,
                || opens(0),
            )
            .unwrap();
    }
    for shard in table.shards.iter() {
        let len = shard.lock().groups.len();
        assert!((60..200).contains(&len), "{len} of 1000 in one of 8");
    }
}

/// Between the first look and the lock under which a batch is opened, the last callers of the group leave.
#[test]
fn a_large_key_is_copied_without_a_lock_even_if_its_group_has_just_ended() {
    struct Large;
    impl Key for Large {
        type Owned = ();
        fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
        fn is(&self, (): &()) -> bool {
            true
        }
        fn to_owned(&self) {
            crate::sync::held::assert_none();
        }
        fn is_little(&self) -> bool {
            false
        }
    }
    let table = Table::<_, (), (), (), ()>::new("large".into(), 1);
    let join = |open: &dyn Fn()| {
        let opens = || {
            open();
            opens(1000)
        };
        let waker = Waker::noop().clone();
        table
            .join(waker, &Large, Item::new(()), usize::MAX, opens)
            .unwrap()
    };
    let full = [join(&|| {}), join(&|| {})];
    let next = join(&|| {
        for seated in &full {
            table.leave(&seated.batch, seated.ticket);
        }
    });
    assert!(next.opened);
}
