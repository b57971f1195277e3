//! From a worker behind a channel, by hand, to `#[batch]`: before and after, with the same tests.
//!
//! ```sh
//! cargo run -p piggyback-services --bin from_channel
//! ```
//!
//! The attribute also does what this worker does not: an item whose caller has left is not saved, a panic fails one batch
//! instead of all that come after it, and no task runs while there is nothing to do. The last tests show these.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::try_join_all;

/// Stands for a database: a table, and the number of rows of each statement.
#[derive(Debug, Default)]
struct Db {
    rows: Mutex<Vec<String>>,
    statements: Mutex<Vec<usize>>,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
enum SaveError {
    #[error("a name must not be empty")]
    Empty,
    #[error("the worker is gone")]
    Gone,
}

impl Db {
    /// `INSERT … RETURNING id`: an id for each row.
    async fn insert(&self, names: &[String]) -> Result<Vec<usize>, SaveError> {
        self.statements.lock().unwrap().push(names.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
        if names.iter().any(String::is_empty) {
            return Err(SaveError::Empty);
        }
        assert!(names[0] != "panic", "the driver has a bug");
        let mut rows = self.rows.lock().unwrap();
        let first = rows.len();
        rows.extend_from_slice(names);
        Ok((first..rows.len()).collect())
    }
}

mod before {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::{mpsc, oneshot};
    use tokio::time::{Instant, timeout_at};

    use super::{Db, SaveError};

    type Answer = oneshot::Sender<Result<usize, SaveError>>;

    pub(super) struct Names {
        sender: mpsc::Sender<(String, Answer)>,
    }

    impl Names {
        pub(super) fn new(db: Arc<Db>) -> Self {
            let (sender, receiver) = mpsc::channel(1_000);
            tokio::spawn(work(db, receiver));
            Self { sender }
        }

        pub(super) async fn save(&self, name: String) -> Result<usize, SaveError> {
            let (answer, answered) = oneshot::channel();
            let sent = self.sender.send((name, answer)).await;
            sent.map_err(|_| SaveError::Gone)?;
            answered.await.map_err(|_| SaveError::Gone)?
        }
    }

    async fn work(db: Arc<Db>, mut receiver: mpsc::Receiver<(String, Answer)>) {
        while let Some((name, answer)) = receiver.recv().await {
            let deadline = Instant::now() + Duration::from_millis(5);
            let (mut names, mut answers) = (vec![name], vec![answer]);
            while names.len() < 100 {
                match timeout_at(deadline, receiver.recv()).await {
                    Ok(Some((name, answer))) => {
                        names.push(name);
                        answers.push(answer);
                    }
                    Ok(None) | Err(_) => break,
                }
            }
            match db.insert(&names).await {
                Ok(ids) => {
                    for (answer, id) in answers.into_iter().zip(ids) {
                        let _ = answer.send(Ok(id));
                    }
                }
                Err(error) => {
                    for answer in answers {
                        let _ = answer.send(Err(error.clone()));
                    }
                }
            }
        }
    }
}

mod after {
    use std::sync::Arc;

    use piggyback::{Scope, batch};

    use super::{Db, SaveError};

    #[derive(Clone)]
    pub(super) struct Names {
        db: Arc<Db>,
        scope: Scope,
    }

    impl Names {
        pub(super) fn new(db: Arc<Db>) -> Self {
            Self {
                db,
                scope: Scope::new(),
            }
        }

        #[batch(size = 100, delay_ms = 5, concurrency = 1, scope = self.scope)]
        pub(super) async fn save(&self, names: &[String]) -> Result<Vec<usize>, SaveError> {
            self.db.insert(names).await
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), SaveError> {
    let db = Arc::new(Db::default());
    let names = before::Names::new(db.clone());
    try_join_all((0..1_000).map(|n| names.save(format!("name {n}")))).await?;
    println!("before: {} statements", db.statements.lock().unwrap().len());

    let db = Arc::new(Db::default());
    let names = after::Names::new(db.clone());
    try_join_all((0..1_000).map(|n| names.save(format!("name {n}")))).await?;
    println!("after: {} statements", db.statements.lock().unwrap().len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::{Instant, timeout};

    use super::*;

    macro_rules! same_tests {
        ($version:ident) => {
            mod $version {
                use super::super::$version::Names;
                use super::*;

                #[tokio::test(start_paused = true)]
                async fn each_caller_gets_the_id_of_its_row() {
                    let db = Arc::new(Db::default());
                    let names = Names::new(db.clone());
                    let ids = join_all((0..250).map(|n| names.save(format!("name {n}")))).await;
                    let rows = db.rows.lock().unwrap();
                    for (n, id) in ids.into_iter().enumerate() {
                        assert_eq!(rows[id.unwrap()], format!("name {n}"));
                    }
                    assert_eq!(rows.len(), 250);
                }

                #[tokio::test(start_paused = true)]
                async fn a_statement_has_a_hundred_rows_at_most() {
                    let db = Arc::new(Db::default());
                    let names = Names::new(db.clone());
                    let _ids = join_all((0..250).map(|n| names.save(format!("name {n}")))).await;
                    assert_eq!(*db.statements.lock().unwrap(), [100, 100, 50]);
                }

                #[tokio::test(start_paused = true)]
                async fn a_lone_caller_waits_five_milliseconds_for_others() {
                    let db = Arc::new(Db::default());
                    let names = Names::new(db.clone());
                    let start = Instant::now();
                    assert_eq!(names.save("Ada".to_owned()).await, Ok(0));
                    assert_eq!(start.elapsed(), Duration::from_millis(5 + 10));
                }

                #[tokio::test(start_paused = true)]
                async fn an_error_reaches_the_callers_of_its_statement() {
                    let db = Arc::new(Db::default());
                    let names = Names::new(db.clone());
                    let saved = join_all(["", "Ada"].map(|name| names.save(name.to_owned()))).await;
                    assert_eq!(saved, [Err(SaveError::Empty), Err(SaveError::Empty)]);
                    assert_eq!(names.save("Bob".to_owned()).await, Ok(0));
                }
            }
        };
    }
    same_tests!(before);
    same_tests!(after);

    #[tokio::test(start_paused = true)]
    async fn the_row_of_a_caller_that_has_left_is_saved_before_and_not_after() {
        let soon = Duration::from_millis(1);
        let db = Arc::new(Db::default());
        let names = super::before::Names::new(db.clone());
        let left = timeout(soon, names.save("Ada".to_owned())).await;
        assert!(left.is_err());
        names.save("Bob".to_owned()).await.unwrap();
        assert_eq!(*db.rows.lock().unwrap(), ["Ada", "Bob"]);

        let db = Arc::new(Db::default());
        let names = super::after::Names::new(db.clone());
        let left = timeout(soon, names.save("Ada".to_owned())).await;
        assert!(left.is_err());
        names.save("Bob".to_owned()).await.unwrap();
        assert_eq!(*db.rows.lock().unwrap(), ["Bob"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_the_worker_before_and_one_batch_after() {
        let names = super::before::Names::new(Arc::default());
        let panicked = names.save("panic".to_owned()).await;
        assert_eq!(panicked, Err(SaveError::Gone));
        assert_eq!(names.save("Ada".to_owned()).await, Err(SaveError::Gone));

        let names = super::after::Names::new(Arc::default());
        let other = names.clone();
        let panicked = tokio::spawn(async move { other.save("panic".to_owned()).await }).await;
        assert!(panicked.unwrap_err().is_panic());
        assert_eq!(names.save("Ada".to_owned()).await, Ok(0));
    }
}
