//! From `#[cached(sync_writes = "by_key")]` to `#[dedup]`: before and after, with the same tests.
//!
//! ```sh
//! cargo run -p piggyback-services --features cached --bin from_cached
//! ```
//!
//! What is different after: nothing is kept, an error is shared like any other result, and a scope keeps instances apart,
//! where `#[cached]` has one table per function for the whole process. The last tests show these.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::try_join_all;
use piggyback::Scope;

/// Stands for a database.
#[derive(Clone, Debug, Default)]
struct Db {
    queries: Arc<AtomicUsize>,
    scope: Scope,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("there is no user {0}")]
struct NotFound(u64);

impl Db {
    async fn user(&self, id: u64) -> Result<String, NotFound> {
        self.queries.fetch_add(1, Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
        match id {
            0 => Err(NotFound(id)),
            _ => Ok(format!("user {id}")),
        }
    }
}

mod before {
    use cached::macros::cached;

    use super::{Db, NotFound};

    #[cached(ttl = 1, key = "u64", convert = "{ id }", sync_writes = "by_key")]
    pub(super) async fn user(db: &Db, id: u64) -> Result<String, NotFound> {
        db.user(id).await
    }
}

mod after {
    use piggyback::dedup;

    use super::{Db, NotFound};

    #[dedup(scope = db.scope)]
    pub(super) async fn user(db: &Db, id: u64) -> Result<String, NotFound> {
        db.user(id).await
    }
}

#[tokio::main]
async fn main() -> Result<(), NotFound> {
    macro_rules! show {
        ($version:ident) => {
            let db = &Db::default();
            try_join_all((0..1_000).map(|_| $version::user(db, 7))).await?;
            let queries = db.queries.load(Relaxed);
            println!("{}: 1,000 callers, {queries} queries", stringify!($version));
        };
    }
    show!(before);
    show!(after);
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    // Each test has ids of its own: `before` has one table for all of them.
    macro_rules! same_tests {
        ($version:ident) => {
            mod $version {
                use super::super::$version::user;
                use super::*;

                #[tokio::test]
                async fn overlapping_calls_share_a_query() {
                    let db = &Db::default();
                    let found = join_all((0..100).map(|_| user(db, 7))).await;
                    assert!(found.iter().all(|user| user.as_deref() == Ok("user 7")));
                    assert_eq!(db.queries.load(Relaxed), 1);
                }

                #[tokio::test]
                async fn calls_for_different_users_do_not() {
                    let db = &Db::default();
                    let found = join_all((100..120).map(|id| user(db, id))).await;
                    for (id, user) in (100..).zip(found) {
                        assert_eq!(user, Ok(format!("user {id}")));
                    }
                    assert_eq!(db.queries.load(Relaxed), 20);
                }

                #[tokio::test]
                async fn an_error_reaches_every_caller_and_is_not_kept() {
                    let db = &Db::default();
                    let found = join_all((0..5).map(|_| user(db, 0))).await;
                    assert!(found.iter().all(|user| *user == Err(NotFound(0))));
                    let queries = db.queries.load(Relaxed);
                    assert_eq!(user(db, 0).await, Err(NotFound(0)));
                    assert_eq!(db.queries.load(Relaxed), queries + 1);
                }
            }
        };
    }
    same_tests!(before);
    same_tests!(after);

    #[tokio::test]
    async fn a_failing_query_runs_once_per_caller_before_and_once_after() {
        let db = &Db::default();
        let _found = join_all((0..5).map(|_| super::before::user(db, 0))).await;
        assert_eq!(db.queries.load(Relaxed), 5);

        let db = &Db::default();
        let _found = join_all((0..5).map(|_| super::after::user(db, 0))).await;
        assert_eq!(db.queries.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn a_second_instance_gets_the_values_of_the_first_before_and_not_after() {
        let (one, two) = (&Db::default(), &Db::default());
        super::before::user(one, 200).await.unwrap();
        super::before::user(two, 200).await.unwrap();
        assert_eq!(two.queries.load(Relaxed), 0);

        let (one, two) = (&Db::default(), &Db::default());
        let (a, b) = tokio::join!(super::after::user(one, 200), super::after::user(two, 200));
        assert_eq!(a, b);
        assert_eq!(two.queries.load(Relaxed), 1);
    }
}
