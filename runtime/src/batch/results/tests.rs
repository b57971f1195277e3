//! What callers get, by what a bulk call returns.

use std::collections::{BTreeMap, HashMap};
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::bulk::bulk as in_one_call;
use super::shaped::Shaped;
use super::split::split as in_parts;
use super::*;
use crate::bounds::output;
use crate::sharing::{BY_CLONE, Cloned, clone_with, share_err_in_batch};

/// In the order in which an expansion says it.
async fn bulk<X, T, H, S, F>(
    how: H,
    sharing: S,
    items: Vec<T>,
    body: impl FnOnce(Vec<T>) -> F,
) -> Results<<X as Outcome<T, H>>::One>
where
    X: Outcome<T, H> + HandOut<T, H, S, <X as Outcome<T, H>>::One>,
    F: Future<Output = X>,
{
    in_one_call(
        Shaped::<X, T, H, X::One>(how, PhantomData).__piggyback_share(sharing),
        items,
        body,
    )
    .await
}

async fn bulk_by<X, T, K: Send, C, S, F>(
    kind: K,
    by: C,
    sharing: S,
    items: Vec<T>,
    body: impl FnOnce(Vec<T>) -> F,
) -> Results<<X as Outcome<T, K>>::One>
where
    X: Rows + Outcome<T, K> + HandOut<T, By<K, C>, S, <X as Outcome<T, K>>::One>,
    C: Fn(&X::Row) -> T + Send,
    F: Future<Output = X>,
{
    in_one_call(
        shape_by(kind, output::<(X, T)>(), by).__piggyback_share(sharing),
        items,
        body,
    )
    .await
}

async fn split<X, T: Clone, F>(
    items: Vec<T>,
    body: impl FnMut(Vec<T>) -> F,
) -> Results<<X as Outcome<T, Each>>::One>
where
    X: Outcome<T, Each> + Split<T, Each, Cloned, <X as Outcome<T, Each>>::One>,
    F: Future<Output = X>,
{
    in_parts(Each, BY_CLONE, items, body, |output, _, _, _| Ok(output)).await
}

/// Bodies here never wait.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("not ready"),
    }
}

#[derive(Debug, PartialEq)]
struct NotClone(u32);

#[test]
fn a_list_is_handed_out_in_order() {
    let ones = now(bulk(Each, BY_CLONE, vec![1, 2, 3], |items| {
        ready(items.into_iter().map(NotClone).collect::<Vec<_>>())
    }));
    assert_eq!(ones.unwrap(), [NotClone(1), NotClone(2), NotClone(3)]);
}

#[test]
fn nothing_is_handed_out_to_each() {
    assert_eq!(
        now(bulk(Each, BY_CLONE, vec![1, 2], |_| ready(()))).unwrap(),
        [(), ()]
    );
}

#[test]
fn a_wrong_number_says_both_numbers() {
    let wrong = now(bulk(Each, BY_CLONE, vec![1, 2, 3], |_| ready(vec![0]))).unwrap_err();
    assert_eq!((wrong.items, wrong.results), (3, 1));
    let wrong = now(bulk(Each, BY_CLONE, vec![1], |_| {
        ready(Ok::<_, u8>(vec![0, 1]))
    }))
    .unwrap_err();
    assert_eq!((wrong.items, wrong.results), (1, 2));
}

#[test]
fn maps_are_looked_up_and_equal_items_share() {
    let ones = now(bulk(Each, BY_CLONE, vec![1, 2, 1, 3], |_| {
        ready(HashMap::from([(1, "a"), (3, "c")]))
    }));
    assert_eq!(ones.unwrap(), [Some("a"), None, Some("a"), Some("c")]);
    let ones = now(bulk(Each, BY_CLONE, vec![2, 2], |_| {
        ready(Ok::<_, u8>(BTreeMap::from([(2, "b")])))
    }));
    assert_eq!(ones.unwrap(), [Ok(Some("b")), Ok(Some("b"))]);
}

#[test]
fn rows_are_handed_out_by_their_items() {
    let rows = || vec![(3, "c"), (1, "a"), (3, "d")];
    let ones = now(bulk_by(
        OneBy,
        |row: &(i32, _)| row.0,
        BY_CLONE,
        vec![1, 2, 3],
        |_| ready(rows()),
    ));
    assert_eq!(ones.unwrap(), [Some((1, "a")), None, Some((3, "c"))]);
    let many = now(bulk_by(
        ManyBy,
        |row: &(i32, _)| row.0,
        BY_CLONE,
        vec![1, 2, 3, 3],
        |_| ready(Ok::<_, u8>(rows())),
    ));
    let [one, none, three, also_three] = &many.unwrap()[..] else {
        panic!("four items")
    };
    assert_eq!((one, none), (&Ok(vec![(1, "a")]), &Ok(vec![])));
    assert_eq!(
        (three, also_three),
        (&Ok(vec![(3, "c"), (3, "d")]), &Ok(vec![(3, "c"), (3, "d")]))
    );
}

#[test]
fn one_answer_is_for_all() {
    assert_eq!(
        now(bulk(Whole, BY_CLONE, vec![1, 2], |items| ready(
            items.len()
        )))
        .unwrap(),
        [2, 2]
    );
    assert_eq!(
        now(bulk(Whole, BY_CLONE, vec![1, 2], |_| ready(Err::<u8, _>(
            "no"
        ))))
        .unwrap(),
        [Err("no"), Err("no")]
    );
}

#[test]
fn results_within_a_result_are_flat() {
    let ones = now(bulk(Flat, BY_CLONE, vec![1, 2], |_| {
        ready(Ok(vec![Ok(NotClone(1)), Err("two")]))
    }));
    assert_eq!(ones.unwrap(), [Ok(NotClone(1)), Err("two")]);
    let ones = now(bulk(Flat, BY_CLONE, vec![1, 2], |_| {
        ready(Err::<Vec<Result<u8, _>>, _>("all"))
    }));
    assert_eq!(ones.unwrap(), [Err("all"), Err("all")]);
}

#[test]
fn an_error_reaches_each_whatever_a_success_would_have_been() {
    let items = || vec![1, 2];
    let hashed = |_| ready(Err::<HashMap<i32, u8>, _>("no"));
    let sorted = |_| ready(Err::<BTreeMap<i32, u8>, _>("no"));
    let rows = |_| ready(Err::<Vec<i32>, _>("no"));
    let all = [
        now(bulk(Each, BY_CLONE, items(), hashed)).unwrap(),
        now(bulk(Each, BY_CLONE, items(), sorted)).unwrap(),
    ];
    assert_eq!(all, [[Err("no"), Err("no")], [Err("no"), Err("no")]]);
    let one = now(bulk_by(OneBy, |&row: &i32| row, BY_CLONE, items(), rows));
    assert_eq!(one.unwrap(), [Err("no"), Err("no")]);
    let many = now(bulk_by(ManyBy, |&row: &i32| row, BY_CLONE, items(), rows));
    assert_eq!(many.unwrap(), [Err("no"), Err("no")]);
}

#[test]
fn one_answer_is_copied_by_clone_with() {
    let copy = |NotClone(n): &NotClone| NotClone(*n);
    let all = now(bulk(
        Whole,
        clone_with(output(), copy),
        vec![1, 2],
        |items| ready(NotClone(items.len() as u32)),
    ));
    assert_eq!(all.unwrap(), [NotClone(2), NotClone(2)]);
}

#[test]
fn results_within_a_result_are_flat_after_a_split_too() {
    type Saved = Result<Vec<Result<u32, &'static str>>, &'static str>;
    let save = |items: Vec<u32>| -> Ready<Saved> {
        ready(if items.contains(&3) {
            Err("three")
        } else {
            let save = |item| if item == 2 { Err("two") } else { Ok(item) };
            Ok(items.into_iter().map(save).collect())
        })
    };
    let items = vec![1, 2, 3, 4];
    let each = now(in_parts(Flat, BY_CLONE, items, save, |output, _, _, _| {
        Ok(output)
    }));
    assert_eq!(each.unwrap(), [Ok(1), Err("two"), Err("three"), Ok(4)]);
}

#[derive(Debug, PartialEq)]
enum Error {
    Own(u32),
    Shared(Arc<Error>),
}

#[test]
fn who_shares_with_nobody_gets_the_original_error() {
    let fail = |_| ready(Err::<(), _>(Error::Own(1)));
    assert_eq!(
        now(bulk(
            Each,
            share_err_in_batch(output::<Result<(), _>>(), Error::Shared),
            vec![1],
            fail
        ))
        .unwrap(),
        [Err(Error::Own(1))]
    );
    let both = now(bulk(
        Each,
        share_err_in_batch(output::<Result<(), _>>(), Error::Shared),
        vec![1, 2],
        fail,
    ))
    .unwrap();
    assert_eq!(
        both,
        [
            Err(Error::Shared(Arc::new(Error::Own(1)))),
            Err(Error::Shared(Arc::new(Error::Own(1))))
        ]
    );
}

#[test]
fn the_last_gets_the_original_by_clone_and_by_clone_with() {
    static CLONES: AtomicUsize = AtomicUsize::new(0);
    fn again(result: &Result<(), NotClone>) -> Result<(), NotClone> {
        CLONES.fetch_add(1, Ordering::Relaxed);
        result
            .as_ref()
            .map(|&()| ())
            .map_err(|error| NotClone(error.0))
    }
    let all = now(bulk(
        Each,
        clone_with(output(), again),
        vec![1, 2, 3],
        |_| ready(Err::<(), _>(NotClone(5))),
    ))
    .unwrap();
    assert_eq!(all, [Err(NotClone(5)), Err(NotClone(5)), Err(NotClone(5))]);
    assert_eq!(CLONES.load(Ordering::Relaxed), 2);
}

/// The calls that it takes, with these items bad.
fn split_calls(n: usize, bad: &[usize]) -> usize {
    let mut calls = 0;
    let mut saved = vec![0; n];
    let results = now(split((0..n).collect(), |items: Vec<usize>| {
        calls += 1;
        assert!(!items.is_empty());
        let error = items.iter().find(|item| bad.contains(item));
        ready(match error {
            Some(&bad) => Err(NotClone(u32::try_from(bad).unwrap())),
            None => {
                items.iter().for_each(|&item| saved[item] += 1);
                Ok(items)
            }
        })
    }));
    for (item, result) in results.unwrap().into_iter().enumerate() {
        let is_bad = bad.contains(&item);
        assert_eq!(result.is_err(), is_bad);
        assert_eq!(
            result.unwrap_or_else(|NotClone(bad)| bad as usize),
            item,
            "each gets its own"
        );
        assert_eq!(saved[item], usize::from(!is_bad), "each is saved once");
    }
    calls
}

#[test]
fn one_bad_item_costs_few_calls() {
    for n in 1..=130_usize {
        assert_eq!(split_calls(n, &[]), 1);
        for bad in 0..n {
            let calls = split_calls(n, &[bad]);
            assert!(
                calls as f64 <= 1.0 + 2.0 * (n as f64).log2() + 1e-9,
                "{calls} calls for {bad} of {n}"
            );
        }
    }
}

#[test]
fn each_bad_item_fails_its_own_caller() {
    for bad in 0..(1_usize << 9) {
        let bad: Vec<usize> = (0..9).filter(|item| bad >> item & 1 == 1).collect();
        split_calls(9, &bad);
    }
}

#[test]
fn a_wrong_number_is_not_split() {
    let wrong = now(split(vec![1, 2], |_| ready(Ok::<_, NotClone>(vec![1])))).unwrap_err();
    assert_eq!((wrong.items, wrong.results), (2, 1));
}
