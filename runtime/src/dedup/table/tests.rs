use super::*;
use crate::dedup::Joining;
use crate::key::{ByRef, ByValue};
use crate::observe::Caller;
use crate::sharing::Cloned;
use crate::strangers::{names, numbers, picked, spread, withstands_one_who_watches};

#[test]
fn keys_do_not_meet_even_if_a_stranger_sees_how_they_spread() {
    let table = Table::<_, ()>::new("pairs".into(), 1);
    withstands_one_who_watches(|(one, other)| table.hash(&(ByValue(one), (ByValue(other), ()))));
}

#[test]
fn keys_that_a_stranger_picks_spread_like_random_ones() {
    let ids = Table::<_, ()>::new("ids".into(), 1);
    let by_id = |id: &u64| ids.hash(&(ByValue(id), ()));
    spread(&picked(numbers()), by_id, by_id);
    let by_name = Table::<_, ()>::new("names".into(), 1);
    let name = |name: &String| by_name.hash(&(ByRef(name.as_str()), ()));
    spread(&picked(names()), name, by_id);
}

#[test]
fn keys_spread_over_the_shards() {
    let table = Table::<_, ()>::new("spread".into(), 8);
    for id in 0..1000_u64 {
        let key = (ByValue(&id), ());
        table.enter(table.hash(&key), &key, Joining::new(), Caller::current());
    }
    for shard in table.shards.iter() {
        let len = shard.lock().entries.len();
        assert!((60..200).contains(&len), "{len} of 1000 in one of 8");
    }
}

#[test]
fn the_watch_forgets_flights_as_they_land() {
    let table = Table::<_, ()>::new("watched".into(), 1);
    let (hash, joining) = (table.hash(&()), Joining::new());
    let followed = || {
        let Entered::Leads(id, _) = table.enter(hash, &(), joining, Caller::current()) else {
            panic!("nothing is up that is not forgotten");
        };
        table.enter(hash, &(), joining, Caller::current());
        table.forget(&());
        id
    };
    let lands = |id| match table.land::<Cloned<()>>(hash, id, 0, ()) {
        Landed::Shared(_, 1) => {}
        _ => panic!("it has a follower"),
    };
    let watched = || {
        let shard = table.shards.of(0).lock();
        (shard.followed.len(), shard.followed.capacity() <= KEPT)
    };
    // One after another, beside one that stays.
    let stays = followed();
    for _ in 0..100 {
        lands(followed());
        assert_eq!(watched(), (1, true), "the one that stays");
    }
    // And many at once.
    let many: Vec<_> = (0..1000).map(|_| followed()).collect();
    many.into_iter().for_each(lands);
    lands(stays);
    assert_eq!(watched(), (0, true));
}
