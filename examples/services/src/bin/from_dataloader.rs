//! From `async_graphql::dataloader` to `#[dedup]` and `#[batch]`: before and after, with the same tests.
//!
//! ```sh
//! cargo run -p piggyback-services --features graphql --bin from_dataloader
//! ```
//!
//! After, a loader is a function: no type, no trait, no registration in the schema's data, and it works outside of GraphQL.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::try_join_all;

/// How long an id waits for others. Longer in tests, which run on busy machines.
const DELAY_MS: u64 = if cfg!(test) { 100 } else { 1 };

/// Stands for a database: it counts the ids of each query.
#[derive(Debug, Default)]
struct Db {
    queries: Mutex<Vec<usize>>,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the database is down")]
struct Down;

impl Db {
    /// `SELECT … WHERE id = ANY($1)`, which has no users above a thousand.
    async fn users(&self, ids: &[u64]) -> Result<HashMap<u64, String>, Down> {
        self.queries.lock().unwrap().push(ids.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
        if ids.contains(&0) {
            return Err(Down);
        }
        let known = ids.iter().filter(|id| **id <= 1_000);
        Ok(known.map(|id| (*id, format!("user {id}"))).collect())
    }
}

mod before {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::time::Duration;

    use async_graphql::dataloader::{DataLoader, Loader};

    use super::{DELAY_MS, Db, Down};

    struct UserLoader {
        db: Arc<Db>,
    }

    impl Loader<u64> for UserLoader {
        type Value = String;
        type Error = Down;

        async fn load(&self, ids: &[u64]) -> Result<HashMap<u64, String>, Down> {
            self.db.users(ids).await
        }
    }

    pub(super) struct Users {
        loader: DataLoader<UserLoader>,
    }

    impl Users {
        pub(super) fn new(db: Arc<Db>) -> Self {
            let loader = DataLoader::new(UserLoader { db }, tokio::spawn)
                .delay(Duration::from_millis(DELAY_MS))
                .max_batch_size(100);
            Self { loader }
        }

        pub(super) async fn user(&self, id: u64) -> Result<Option<String>, Down> {
            self.loader.load_one(id).await
        }
    }
}

mod after {
    use std::collections::HashMap;
    use std::sync::Arc;

    use piggyback::{Scope, batch, dedup};

    use super::{DELAY_MS, Db, Down};

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
        #[batch(size = 100, delay_ms = DELAY_MS)]
        pub(super) async fn user(&self, ids: &[u64]) -> Result<HashMap<u64, String>, Down> {
            self.db.users(ids).await
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Down> {
    macro_rules! show {
        ($version:ident) => {
            let db = Arc::new(Db::default());
            let users = $version::Users::new(db.clone());
            try_join_all((0..1_000).map(|n| users.user(1 + n % 200))).await?;
            let queries = db.queries.lock().unwrap().clone();
            println!(
                "{}: 1,000 callers, queries of {queries:?} ids",
                stringify!($version)
            );
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

    macro_rules! same_tests {
        ($version:ident) => {
            mod $version {
                use super::super::$version::Users;
                use super::*;

                #[tokio::test]
                async fn ids_that_come_together_are_one_query() {
                    let db = Arc::new(Db::default());
                    let users = Users::new(db.clone());
                    let found = join_all((1..=50).map(|id| users.user(id))).await;
                    for (id, user) in (1..).zip(found) {
                        assert_eq!(user, Ok(Some(format!("user {id}"))));
                    }
                    assert_eq!(*db.queries.lock().unwrap(), [50]);
                }

                #[tokio::test]
                async fn equal_ids_are_asked_for_once() {
                    let db = Arc::new(Db::default());
                    let users = Users::new(db.clone());
                    let found = join_all((0..90).map(|n| users.user(1 + n % 3))).await;
                    for (n, user) in (0..).zip(found) {
                        assert_eq!(user, Ok(Some(format!("user {}", 1 + n % 3))));
                    }
                    assert_eq!(*db.queries.lock().unwrap(), [3]);
                }

                #[tokio::test]
                async fn who_is_not_there_is_none() {
                    let users = Users::new(Arc::default());
                    let (there, missing) = tokio::join!(users.user(7), users.user(7_000));
                    assert_eq!((there, missing), (Ok(Some("user 7".to_owned())), Ok(None)));
                }

                #[tokio::test]
                async fn an_error_reaches_the_callers_of_its_query() {
                    let db = Arc::new(Db::default());
                    let users = Users::new(db.clone());
                    let found = join_all((0..10).map(|id| users.user(id))).await;
                    assert!(found.iter().all(|user| *user == Err(Down)));
                    assert_eq!(users.user(7).await, Ok(Some("user 7".to_owned())));
                    assert_eq!(*db.queries.lock().unwrap(), [10, 1]);
                }
            }
        };
    }
    same_tests!(before);
    same_tests!(after);
}
