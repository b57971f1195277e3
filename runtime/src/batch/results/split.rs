//! `split_on_err`: a batch that fails is tried again in halves, so that only the callers of bad items get an error.

use std::ops::Range;

use super::{Kept, Results, Split};

/// Calls the body with the items, and after an error with the halves, down to single items. One bad item of n costs at most
/// 1 + 2·log2(n) calls: if the first half succeeds, the bad item is in the second half, which is then not tried as a whole.
///
/// `look` takes out the errors that all callers of a part share.
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

/// Items that are still to be tried.
struct Part {
    range: Range<usize>,
    side: Side,
}

/// What is known of them.
#[derive(PartialEq)]
enum Side {
    All,
    First,
    /// It is not known yet whether the first half succeeds.
    Second,
    /// The first half has succeeded.
    SecondOfBad,
}

/// The first half comes last, since the next part to be tried is popped from the end.
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
