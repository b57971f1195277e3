//! Return types that are not a `Result`: nothing, a list, a map, or rows in any order.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

use super::{By, Each, Kept, ManyBy, OneBy, Results, WrongNumber};
use crate::sharing::Copies;

/// A return type that is not a `Result`. `One` belongs to an item, and `Top` is what the caller gets: the same, or a `Result`
/// of it.
pub trait Shape<T, H, S, One, Top> {
    /// What is kept of the items while the bulk call has them.
    type Kept: Kept<T>;
    /// Makes one result per item.
    fn hand_out(self, how: &H, kept: Self::Kept, sharing: &S, top: fn(One) -> Top) -> Results<Top>;
}

impl<T, S, Top> Shape<T, Each, S, (), Top> for () {
    type Kept = usize;
    fn hand_out(self, _: &Each, items: usize, _: &S, top: fn(()) -> Top) -> Results<Top> {
        Ok((0..items).map(|_| top(())).collect())
    }
}

impl<T, S, Top, R> Shape<T, Each, S, R, Top> for Vec<R> {
    type Kept = usize;
    fn hand_out(self, _: &Each, items: usize, _: &S, top: fn(R) -> Top) -> Results<Top> {
        as_many(items, self.into_iter().map(top).collect())
    }
}

pub(super) fn as_many<R>(items: usize, results: Vec<R>) -> Results<R> {
    if results.len() == items {
        Ok(results)
    } else {
        Err(WrongNumber {
            items,
            results: results.len(),
        })
    }
}

impl<T, S, Top, R, B> Shape<T, Each, S, Option<R>, Top> for HashMap<T, R, B>
where
    T: Eq + Hash + Clone + Send,
    S: Copies<Top>,
    B: BuildHasher,
{
    type Kept = Vec<T>;
    fn hand_out(
        mut self,
        _: &Each,
        items: Vec<T>,
        sharing: &S,
        top: fn(Option<R>) -> Top,
    ) -> Results<Top> {
        Ok(by_hash(&items, |item| top(self.remove(item)), sharing))
    }
}

impl<T, S, Top, R> Shape<T, Each, S, Option<R>, Top> for BTreeMap<T, R>
where
    T: Ord + Clone + Send,
    S: Copies<Top>,
{
    type Kept = Vec<T>;
    fn hand_out(
        mut self,
        _: &Each,
        items: Vec<T>,
        sharing: &S,
        top: fn(Option<R>) -> Top,
    ) -> Results<Top> {
        let find = |item: &T| top(self.remove(item));
        Ok(by_item(&items, BTreeMap::new(), find, sharing))
    }
}

impl<T, S, Top, R, F> Shape<T, By<OneBy, F>, S, Option<R>, Top> for Vec<R>
where
    T: Eq + Hash + Clone + Send,
    S: Copies<Top>,
    F: Fn(&R) -> T,
{
    type Kept = Vec<T>;
    fn hand_out(
        self,
        By(_, item_of): &By<OneBy, F>,
        items: Vec<T>,
        sharing: &S,
        top: fn(Option<R>) -> Top,
    ) -> Results<Top> {
        let mut rows = HashMap::with_capacity(self.len());
        for row in self {
            rows.entry(item_of(&row)).or_insert(row);
        }
        Ok(by_hash(&items, |item| top(rows.remove(item)), sharing))
    }
}

impl<T, S, Top, R, F> Shape<T, By<ManyBy, F>, S, Vec<R>, Top> for Vec<R>
where
    T: Eq + Hash + Clone + Send,
    S: Copies<Top>,
    F: Fn(&R) -> T,
{
    type Kept = Vec<T>;
    fn hand_out(
        self,
        By(_, item_of): &By<ManyBy, F>,
        items: Vec<T>,
        sharing: &S,
        top: fn(Vec<R>) -> Top,
    ) -> Results<Top> {
        let mut rows = HashMap::<T, Vec<R>>::with_capacity(items.len());
        for row in self {
            rows.entry(item_of(&row)).or_default().push(row);
        }
        let find = |item: &T| top(rows.remove(item).unwrap_or_default());
        Ok(by_hash(&items, find, sharing))
    }
}

/// The places of equal items.
trait Places<'a, T: 'a>: IntoIterator<Item = (&'a T, Vec<usize>)> {
    fn of(&mut self, item: &'a T) -> &mut Vec<usize>;
}

impl<'a, T: Eq + Hash> Places<'a, T> for HashMap<&'a T, Vec<usize>> {
    fn of(&mut self, item: &'a T) -> &mut Vec<usize> {
        self.entry(item).or_default()
    }
}

impl<'a, T: Ord> Places<'a, T> for BTreeMap<&'a T, Vec<usize>> {
    fn of(&mut self, item: &'a T) -> &mut Vec<usize> {
        self.entry(item).or_default()
    }
}

fn by_hash<T: Eq + Hash, O>(
    items: &[T],
    find: impl FnMut(&T) -> O,
    sharing: &impl Copies<O>,
) -> Vec<O> {
    let places = HashMap::with_capacity(items.len());
    by_item(items, places, find, sharing)
}

/// Looks up each distinct item once. Equal items share what is found.
fn by_item<'a, T, O>(
    items: &'a [T],
    mut places: impl Places<'a, T>,
    mut find: impl FnMut(&T) -> O,
    sharing: &impl Copies<O>,
) -> Vec<O> {
    let mut all: Vec<Option<O>> = (0..items.len()).map(|_| None).collect();
    for (place, item) in items.iter().enumerate() {
        places.of(item).push(place);
    }
    for (item, places) in places {
        for (place, copy) in places.iter().zip(sharing.copies(find(item), places.len())) {
            all[*place] = Some(copy);
        }
    }
    all.into_iter().flatten().collect()
}
