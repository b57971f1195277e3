//! `split_on_err`: a batch that fails is tried again in halves, so that an item fails no other's caller.

use std::ops::Range;

use super::{Kept, Results, Split};

/// Runs the body on the items, and, where it fails, on the halves, down to those that fail alone. For one bad item of
/// n these are at most 1 + 2·log2(n) calls: when the first half is fine, the second is known to hold the bad one, and
/// is not tried as a whole.
///
/// `look` takes those errors out that are for all callers of a part.
pub(super) async fn split<X, T, H, S, O, B, F, L>(
    how: H,
    sharing: S,
    items: Vec<T>,
    mut body: B,
    look: L,
) -> Results<O>
where
    L: Fn(X, &[T], &H, &S) -> Result<X, Results<O>>,
    X: Split<T, H, S, O>,
    T: Clone,
    B: FnMut(Vec<T>) -> F,
    F: Future<Output = X>,
{
    let mut results: Vec<Option<O>> = items.iter().map(|_| None).collect();
    let mut todo = vec![Part {
        range: 0..items.len(),
        side: Side::All,
    }];
    while let Some(Part { range, side }) = todo.pop() {
        if side == Side::SecondOfBad && range.len() > 1 {
            todo.extend(halves(range));
            continue;
        }
        let part = &items[range.clone()];
        let kept = Kept::keep(part);
        let output = body(part.to_vec()).await;
        let output = match look(output, &items[range.clone()], &how, &sharing) {
            Ok(output) => output,
            Err(for_all) => {
                for (place, one) in range.zip(for_all?) {
                    results[place] = Some(one);
                }
                continue;
            }
        };
        match output.split(&how, kept, &sharing) {
            Ok(handed_out) => {
                for (place, one) in range.zip(handed_out?) {
                    results[place] = Some(one);
                }
                if let (Side::First, Some(second)) = (side, todo.last_mut()) {
                    second.side = Side::SecondOfBad;
                }
            }
            Err(error) if range.len() == 1 => results[range.start] = Some(error),
            Err(_) => todo.extend(halves(range)),
        }
    }
    Ok(results.into_iter().flatten().collect())
}

/// Items yet to be tried.
struct Part {
    range: Range<usize>,
    side: Side,
}

/// What is known of them.
#[derive(PartialEq)]
enum Side {
    All,
    First,
    /// The first half is not yet known to be fine.
    Second,
    /// It is.
    SecondOfBad,
}

/// The first half is the last to be pushed, and so the next to be tried.
fn halves(Range { start, end }: Range<usize>) -> [Part; 2] {
    let middle = start + (end - start) / 2;
    [
        Part {
            range: middle..end,
            side: Side::Second,
        },
        Part {
            range: start..middle,
            side: Side::First,
        },
    ]
}
