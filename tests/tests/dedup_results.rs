//! Results and errors that can't be cloned: `share_err` and `clone_with`.

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use piggyback::dedup;
use piggyback_tests::by_hand::{ByHand, Count, Gate, block_on, one_turn};

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("no user {0}")]
    NotFound(u64),
    #[error("can't read")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Shared(Arc<AppError>),
}

type AppResult<T> = Result<T, AppError>;

/// Each test has ids of its own.
#[dedup(share_err = AppError::Shared, skip(gate))]
async fn user(gate: &Gate, id: u64) -> Result<u64, AppError> {
    gate.passed().await;
    match id {
        0 | 1 => Err(AppError::NotFound(id)),
        2 => {
            let failed: io::Result<u64> = Err(io::Error::other("disk on fire"));
            Ok(failed?)
        }
        _ => Ok(id),
    }
}

/// The use that callers make of it.
async fn handler(gate: &Gate, id: u64) -> Result<String, Box<dyn Error + Send + Sync>> {
    let user = user(gate, id).await?;
    Ok(user.to_string())
}

#[test]
fn every_caller_gets_an_error_of_its_own() {
    let gate = Gate::new();
    let mut calls: Vec<_> = (0..3).map(|_| ByHand::waiting(user(&gate, 0))).collect();
    gate.open();
    for call in &mut calls {
        match call.poll() {
            Poll::Ready(Err(error)) => {
                assert_eq!(error.to_string(), "no user 0");
                let AppError::Shared(shared) = error else {
                    panic!("{error:?} is shared with nobody")
                };
                assert!(matches!(*shared, AppError::NotFound(0)));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn message_and_source_and_downcast_are_kept() {
    let gate = Gate::new();
    let mut calls: Vec<_> = (0..3).map(|_| ByHand::waiting(handler(&gate, 2))).collect();
    gate.open();
    for call in &mut calls {
        let Poll::Ready(Err(error)) = call.poll() else {
            panic!("it fails")
        };
        assert_eq!(error.to_string(), "can't read");
        let source = error.source().expect("the one inside of the shared one");
        assert_eq!(source.to_string(), "disk on fire");
        assert!(source.is::<io::Error>());
        assert!(error.is::<AppError>());
    }
}

#[test]
fn a_caller_that_shares_with_nobody_gets_the_original() {
    let gate = Gate::new();
    gate.open();
    assert!(matches!(
        block_on(user(&gate, 1)),
        Err(AppError::NotFound(1))
    ));

    // A leader that was alone at the end.
    let gate = Gate::new();
    let mut leader = ByHand::waiting(user(&gate, 1));
    drop(ByHand::waiting(user(&gate, 1)));
    gate.open();
    let ended = leader.poll();
    assert!(matches!(ended, Poll::Ready(Err(AppError::NotFound(1)))));

    // A follower that took over and was then alone.
    let gate = Gate::new();
    let leader = ByHand::waiting(user(&gate, 1));
    let mut heir = ByHand::waiting(user(&gate, 1));
    drop(leader);
    assert!(heir.poll().is_pending());
    gate.open();
    let ended = heir.poll();
    assert!(matches!(ended, Poll::Ready(Err(AppError::NotFound(1)))));
}

#[test]
fn a_success_is_still_cloned() {
    let gate = Gate::new();
    let mut calls: Vec<_> = (0..3).map(|_| ByHand::waiting(user(&gate, 9))).collect();
    gate.open();
    for call in &mut calls {
        assert!(matches!(call.poll(), Poll::Ready(Ok(9))));
    }
}

#[test]
fn share_err_may_be_a_path_or_a_closure_and_the_result_an_alias() {
    fn share(error: Arc<io::Error>) -> io::Error {
        io::Error::new(error.kind(), error)
    }
    #[dedup(share_err = share)]
    async fn by_path(id: u64) -> io::Result<u64> {
        one_turn().await;
        Err(io::Error::new(io::ErrorKind::NotFound, format!("no {id}")))
    }
    #[dedup(share_err = |error: Arc<AppError>| AppError::Shared(error.clone()))]
    async fn by_closure(id: u64) -> AppResult<u64> {
        one_turn().await;
        Err(AppError::NotFound(id))
    }
    #[dedup(share_err = |error: Arc<dyn_error::Boxed>| Box::new(dyn_error::Shared(error)) as dyn_error::Boxed)]
    async fn boxed(id: u64) -> Result<u64, dyn_error::Boxed> {
        one_turn().await;
        Err(format!("no {id}").into())
    }

    let (mut a, mut b) = (ByHand::waiting(by_path(1)), ByHand::waiting(by_path(1)));
    for call in [&mut a, &mut b] {
        let Poll::Ready(Err(error)) = call.poll() else {
            panic!("it fails")
        };
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(error.to_string(), "no 1");
    }
    let (mut a, mut b) = (
        ByHand::waiting(by_closure(1)),
        ByHand::waiting(by_closure(1)),
    );
    for call in [&mut a, &mut b] {
        assert!(matches!(call.poll(), Poll::Ready(Err(AppError::Shared(_)))));
    }
    let (mut a, mut b) = (ByHand::waiting(boxed(1)), ByHand::waiting(boxed(1)));
    for call in [&mut a, &mut b] {
        let Poll::Ready(Err(error)) = call.poll() else {
            panic!("it fails")
        };
        assert_eq!(error.to_string(), "no 1");
    }
}

mod dyn_error {
    use std::error::Error;
    use std::fmt;
    use std::sync::Arc;

    pub type Boxed = Box<dyn Error + Send + Sync>;

    #[derive(Debug)]
    pub struct Shared(pub Arc<Boxed>);

    impl fmt::Display for Shared {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }

    impl Error for Shared {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.0.source()
        }
    }
}

#[test]
fn share_err_may_use_the_arguments() {
    #[derive(Debug)]
    struct Failed(String);
    #[dedup(share_err = |error: Arc<Failed>| Failed(format!("{}: {}", name, error.0)), skip(name))]
    async fn user(name: &str, id: u64) -> Result<u64, Failed> {
        one_turn().await;
        Err(Failed(format!("no {id}")))
    }

    let mut leader = ByHand::waiting(user("a", 1));
    let mut follower = ByHand::waiting(user("b", 1));
    for (call, name) in [(&mut leader, "a: no 1"), (&mut follower, "b: no 1")] {
        match call.poll() {
            Poll::Ready(Err(Failed(message))) => assert_eq!(message, name),
            other => panic!("{other:?}"),
        }
    }
}

/// Neither `Clone` nor `Sync`.
#[derive(Debug, PartialEq)]
struct Report {
    rows: Vec<u64>,
    read: Cell<usize>,
}

impl Report {
    fn copy(&self) -> Self {
        COPIES.next();
        self.read.set(self.read.get() + 1);
        Self {
            rows: self.rows.clone(),
            read: Cell::new(0),
        }
    }
}

static COPIES: Count = Count::new();

#[test]
fn clone_with_copies_results_that_are_neither_clone_nor_sync() {
    #[dedup(clone_with = Report::copy)]
    async fn report(id: u64) -> Report {
        one_turn().await;
        one_turn().await;
        Report {
            rows: vec![id],
            read: Cell::new(0),
        }
    }

    let copied = |rows| Report {
        rows,
        read: Cell::new(0),
    };
    let threads: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(|| block_on(report(1))))
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), copied(vec![1]));
    }
    let before = COPIES.get();
    // Alone, it is the original.
    assert_eq!(block_on(report(2)), copied(vec![2]));
    assert_eq!(COPIES.get(), before);
    let (mut a, mut b) = (ByHand::waiting(report(3)), ByHand::waiting(report(3)));
    assert!(a.poll().is_pending());
    assert_eq!(a.poll(), Poll::Ready(copied(vec![3])));
    assert_eq!(b.poll(), Poll::Ready(copied(vec![3])));
    assert_eq!(COPIES.get(), before + 2);
}

#[test]
fn clone_with_serves_foreign_errors() {
    #[dedup(clone_with = |result: &io::Result<u64>| match result {
        Ok(id) => Ok(*id),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    })]
    async fn read(id: u64) -> io::Result<u64> {
        one_turn().await;
        if id == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(id)
    }

    for id in [0, 5] {
        let mut calls = [(); 3].map(|()| ByHand::waiting(read(id)));
        for call in &mut calls {
            match call.poll() {
                Poll::Ready(Ok(got)) => assert_eq!((got, id), (5, 5)),
                Poll::Ready(Err(error)) => {
                    assert_eq!((error.kind(), id), (io::ErrorKind::NotFound, 0))
                }
                Poll::Pending => panic!("it has ended"),
            }
        }
    }
}

#[test]
fn a_value_is_dropped_with_its_last_user() {
    #[derive(Clone)]
    struct Value(#[expect(dead_code, reason = "counts its clones")] Arc<()>);
    static GATE: Gate = Gate::new();
    #[dedup(skip(counted))]
    async fn value(counted: &Arc<()>, id: u64) -> Value {
        let _ = id;
        GATE.passed().await;
        Value(counted.clone())
    }

    let counted = Arc::new(());
    let mut calls: Vec<_> = (0..4)
        .map(|_| ByHand::waiting(value(&counted, 1)))
        .collect();
    GATE.open();
    let results: Vec<_> = calls.iter_mut().take(3).map(ByHand::poll).collect();
    assert!(Arc::strong_count(&counted) > 4);
    // The last leaves without its result.
    calls.clear();
    assert_eq!(Arc::strong_count(&counted), 4);
    drop(results);
    assert_eq!(Arc::strong_count(&counted), 1);
}
