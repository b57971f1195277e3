//! From moka's `get_with` to `#[dedup]`: before and after, with the same tests. And both together, for services that want a cache
//! as well: moka inside the body.
//!
//! ```sh
//! cargo run -p piggyback-services --features moka --bin from_moka
//! ```
//!
//! A cache that is there only so that overlapping calls share a query also answers calls that come later, with a value that is
//! as old as its time to live. `#[dedup]` forgets a value the moment that it is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::try_join_all;

/// Stands for a database.
#[derive(Debug, Default)]
struct Db {
    queries: AtomicUsize,
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
    use std::sync::Arc;
    use std::time::Duration;

    use moka::future::Cache;

    use super::{Db, NotFound};

    #[derive(Clone)]
    pub(super) struct Users {
        db: Arc<Db>,
        cache: Cache<u64, String>,
    }

    impl Users {
        pub(super) fn new(db: Arc<Db>) -> Self {
            let cache = Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_secs(1))
                .build();
            Self { db, cache }
        }

        pub(super) async fn user(&self, id: u64) -> Result<String, NotFound> {
            let found = self.cache.try_get_with(id, self.db.user(id)).await;
            found.map_err(|error| NotFound::clone(&error))
        }
    }
}

mod after {
    use std::sync::Arc;

    use piggyback::{Scope, dedup};

    use super::{Db, NotFound};

    #[derive(Clone)]
    pub(super) struct Users {
        db: Arc<Db>,
        scope: Scope,
    }

    impl Users {
        pub(super) fn new(db: Arc<Db>) -> Self {
            Self {
                db,
                scope: Scope::new(),
            }
        }

        #[dedup(scope = self.scope)]
        pub(super) async fn user(&self, id: u64) -> Result<String, NotFound> {
            self.db.user(id).await
        }
    }
}

/// Overlapping calls share one look into the cache and, if the user is not in it, one query.
mod both {
    use std::sync::Arc;
    use std::time::Duration;

    use moka::future::Cache;
    use piggyback::{Scope, dedup};

    use super::{Db, NotFound};

    #[derive(Clone)]
    pub(super) struct Users {
        db: Arc<Db>,
        cache: Cache<u64, String>,
        scope: Scope,
    }

    impl Users {
        pub(super) fn new(db: Arc<Db>) -> Self {
            let cache = Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_secs(60))
                .build();
            Self {
                db,
                cache,
                scope: Scope::new(),
            }
        }

        #[dedup(scope = self.scope, forget = forget_flight)]
        pub(super) async fn user(&self, id: u64) -> Result<String, NotFound> {
            if let Some(user) = self.cache.get(&id).await {
                return Ok(user);
            }
            let user = self.db.user(id).await?;
            self.cache.insert(id, user.clone()).await;
            Ok(user)
        }

        /// After a write. In this order: a call that starts in between must not join an execution that read the old row.
        #[cfg_attr(not(test), expect(dead_code, reason = "nothing is written here"))]
        pub(super) async fn forget_user(&self, id: u64) {
            self.forget_flight(id);
            self.cache.invalidate(&id).await;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), NotFound> {
    macro_rules! show {
        ($version:ident) => {
            let db = Arc::new(Db::default());
            let users = $version::Users::new(db.clone());
            for _ in 0..3 {
                try_join_all((0..1_000).map(|_| users.user(7))).await?;
            }
            let queries = db.queries.load(Relaxed);
            println!(
                "{}: three times 1,000 callers, {queries} queries",
                stringify!($version)
            );
        };
    }
    show!(before);
    show!(after);
    show!(both);
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    macro_rules! same_tests {
        ($version:ident) => {
            mod $version {
                use super::super::$version::Users;
                use super::*;

                #[tokio::test]
                async fn overlapping_calls_share_a_query() {
                    let db = Arc::new(Db::default());
                    let users = Users::new(db.clone());
                    let found = join_all((0..100).map(|_| users.user(7))).await;
                    assert!(found.iter().all(|user| user.as_deref() == Ok("user 7")));
                    assert_eq!(db.queries.load(Relaxed), 1);
                }

                #[tokio::test]
                async fn calls_for_different_users_do_not() {
                    let db = Arc::new(Db::default());
                    let users = Users::new(db.clone());
                    let found = join_all((1..=100).map(|id| users.user(id))).await;
                    for (id, user) in (1..).zip(found) {
                        assert_eq!(user, Ok(format!("user {id}")));
                    }
                    assert_eq!(db.queries.load(Relaxed), 100);
                }

                #[tokio::test]
                async fn an_error_is_shared_and_not_kept() {
                    let db = Arc::new(Db::default());
                    let users = Users::new(db.clone());
                    let found = join_all((0..100).map(|_| users.user(0))).await;
                    assert!(found.iter().all(|user| *user == Err(NotFound(0))));
                    assert_eq!(db.queries.load(Relaxed), 1);
                    assert_eq!(users.user(0).await, Err(NotFound(0)));
                    assert_eq!(db.queries.load(Relaxed), 2);
                }

                #[tokio::test]
                async fn a_caller_that_leaves_takes_nobody_with_it() {
                    let db = Arc::new(Db::default());
                    let users = Users::new(db.clone());
                    let first = {
                        let users = users.clone();
                        tokio::spawn(async move { users.user(7).await })
                    };
                    while db.queries.load(Relaxed) == 0 {
                        tokio::task::yield_now().await;
                    }
                    let others: Vec<_> = (0..100)
                        .map(|_| {
                            let users = users.clone();
                            tokio::spawn(async move { users.user(7).await })
                        })
                        .collect();
                    // All of them wait for the first one's query.
                    tokio::task::yield_now().await;
                    first.abort();
                    for other in others {
                        assert_eq!(other.await.unwrap().as_deref(), Ok("user 7"));
                    }
                    assert_eq!(db.queries.load(Relaxed), 2);
                }
            }
        };
    }
    same_tests!(before);
    same_tests!(after);
    same_tests!(both);

    #[tokio::test]
    async fn later_calls_get_a_kept_value_before_and_ask_again_after() {
        let db = Arc::new(Db::default());
        let users = super::before::Users::new(db.clone());
        users.user(7).await.unwrap();
        users.user(7).await.unwrap();
        assert_eq!(db.queries.load(Relaxed), 1);

        let db = Arc::new(Db::default());
        let users = super::after::Users::new(db.clone());
        users.user(7).await.unwrap();
        users.user(7).await.unwrap();
        assert_eq!(db.queries.load(Relaxed), 2);
    }

    #[tokio::test]
    async fn with_both_a_write_forgets_the_value_and_the_flight() {
        let db = Arc::new(Db::default());
        let users = super::both::Users::new(db.clone());
        users.user(7).await.unwrap();
        users.user(7).await.unwrap();
        assert_eq!(db.queries.load(Relaxed), 1);
        users.forget_user(7).await;
        users.user(7).await.unwrap();
        assert_eq!(db.queries.load(Relaxed), 2);
    }
}
