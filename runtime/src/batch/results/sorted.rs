//! `sort_by`: a bulk call gets its items in order.

use super::Results;
use super::bulk::Bulk;
use crate::batch::start::Start;

/// A bulk call that gets its items in order. Each comes with the value by which it is sorted.
#[derive(Debug)]
pub struct Sorted<B>(B);

impl<B> Start for Sorted<B> {}

/// A bulk call for items in order.
pub fn sorted<B>(bulk: B) -> Sorted<B> {
    Sorted(bulk)
}

impl<O, T, R, B> Bulk<(O, T), R> for Sorted<B>
where
    O: Ord + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
    B: Bulk<T, R>,
{
    type Body = B::Body;
    fn run(self, items: Vec<(O, T)>) -> impl Future<Output = Results<R>> + Send + 'static {
        in_order(self.0, items)
    }
}

/// Sorts within the future, since comparing is user code, and a panic of the future reaches the callers.
async fn in_order<O, T, R, B>(bulk: B, items: Vec<(O, T)>) -> Results<R>
where
    O: Ord,
    T: Send + 'static,
    B: Bulk<T, R>,
{
    let (places, items) = sort(items);
    Ok(put_back(&places, bulk.run(items).await?))
}

/// Sorts items, and keeps equal ones as they came. Returns the index that each had before, too.
fn sort<O: Ord, T>(items: Vec<(O, T)>) -> (Vec<usize>, Vec<T>) {
    let mut items: Vec<_> = items.into_iter().enumerate().collect();
    items.sort_by(|(_, (a, _)), (_, (b, _))| a.cmp(b));
    items
        .into_iter()
        .map(|(place, (_, item))| (place, item))
        .unzip()
}

/// Puts results into the order in which the items came.
fn put_back<R>(places: &[usize], results: Vec<R>) -> Vec<R> {
    let mut results: Vec<_> = places.iter().zip(results).collect();
    results.sort_unstable_by_key(|&(place, _)| place);
    results.into_iter().map(|(_, result)| result).collect()
}
