//! `#[dedup]` and `#[batch]` on one function find each other under any name, in either order, and beside attributes of
//! others: a loader is never silently not one.
//!
//! Also compiled as edition 2021, by the package in `edition-2021`.

use piggyback::{batch as in_bulk, dedup as once};
use std::sync::{Arc, Mutex};

/// The bulk calls of a function.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Vec<u64>>>>);

impl Log {
    fn note(&self, ids: &[u64]) {
        self.0.lock().unwrap().push(ids.to_vec());
    }
    fn calls(&self) -> Vec<Vec<u64>> {
        self.0.lock().unwrap().clone()
    }
}

/// Asserts that three calls, two of them equal, are one bulk call of two items.
macro_rules! loads {
    ($load:ident) => {{
        let log = Log::default();
        let all = tokio::join!($load(&log, 1), $load(&log, 1), $load(&log, 2));
        assert_eq!(all, (1, 1, 2));
        assert_eq!(log.calls(), [[1, 2]], stringify!($load));
    }};
}

#[once]
#[in_bulk(size = 10, delay_ms = 1, skip(log))]
async fn dedup_first(log: &Log, ids: Vec<u64>) -> Vec<u64> {
    log.note(&ids);
    ids
}

#[in_bulk(size = 10, delay_ms = 1)]
#[once(skip(log))]
async fn batch_first(log: &Log, ids: Vec<u64>) -> Vec<u64> {
    log.note(&ids);
    ids
}

#[piggyback::dedup(skip(log))]
#[piggyback::batch(size = 10, delay_ms = 1)]
async fn by_path(log: &Log, ids: Vec<u64>) -> Vec<u64> {
    log.note(&ids);
    ids
}

#[cfg_attr(all(), once)]
#[cfg_attr(all(), in_bulk(size = 10, delay_ms = 1, skip(log)))]
async fn configured(log: &Log, ids: Vec<u64>) -> Vec<u64> {
    log.note(&ids);
    ids
}

#[once(skip(log))]
#[cfg_attr(all(), allow(unused), piggyback::batch(size = 10, delay_ms = 1))]
async fn configured_among_others(log: &Log, ids: Vec<u64>) -> Vec<u64> {
    log.note(&ids);
    ids
}

#[once]
#[allow(clippy::needless_pass_by_value)]
/// Words.
#[in_bulk(size = 10, delay_ms = 1, skip(log))]
#[doc(hidden)]
async fn among_comments(log: &Log, ids: Vec<u64>) -> Vec<u64> {
    log.note(&ids);
    ids
}

macro_rules! made {
    ($name:ident: $($attribute:meta),*) => {
        $(#[$attribute])*
        async fn $name(log: &Log, ids: Vec<u64>) -> Vec<u64> {
            log.note(&ids);
            ids
        }
    };
}
made!(by_macro: once(skip(log)), in_bulk(size = 10, delay_ms = 1));

/// An error that only the attribute below makes shareable, and functions beside it.
#[derive(Debug, PartialEq)]
struct Error;

#[once(direct = now, forget = forget_it)]
#[in_bulk(size = 10, delay_ms = 1, skip(log), share_err = |_| Error, by_ref)]
async fn fallible(log: &Log, ids: &[u64]) -> Result<Vec<u64>, Error> {
    log.note(ids);
    Ok(ids.to_vec())
}

/// An attribute that is not ours: the function stays as it is.
#[once(skip(log))]
#[rustfmt::skip]
#[must_use]
async fn of_others(log: &Log, id: u64) -> u64 {
    log.note(&[id]);
    tokio::task::yield_now().await;
    id
}

struct Service(Log);

impl Service {
    #[once]
    #[in_bulk(size = 10, delay_ms = 1, skip(self))]
    async fn load(self: Arc<Self>, ids: Vec<u64>) -> Vec<u64> {
        self.0.note(&ids);
        ids
    }
}

#[tokio::test(start_paused = true)]
async fn a_loader_is_recognised_under_any_name_and_in_either_order() {
    loads!(dedup_first);
    loads!(batch_first);
    loads!(by_path);
    loads!(configured);
    loads!(configured_among_others);
    loads!(among_comments);
    loads!(by_macro);

    let log = Log::default();
    let all = tokio::join!(fallible(&log, &1), fallible(&log, &1), fallible(&log, &2));
    assert_eq!(all, (Ok(1), Ok(1), Ok(2)));
    forget_it(&log, &1);
    assert_eq!(now(&log, &[5, 5]).await, Ok(vec![5, 5]));
    assert_eq!(log.calls(), [[1, 2], [5, 5]]);

    let log = Log::default();
    let service = Arc::new(Service(log.clone()));
    let load = |id| service.clone().load(id);
    assert_eq!(tokio::join!(load(1), load(1), load(2)), (1, 1, 2));
    assert_eq!(log.calls(), [[1, 2]]);

    let log = Log::default();
    assert_eq!(tokio::join!(of_others(&log, 1), of_others(&log, 1)), (1, 1));
    assert_eq!(log.calls(), [[1]]);
}
