//! `failed`: what otherwise is a panic in the callers of a shared execution or of a batch is an error of theirs.

use piggyback::{Failure, FailureKind, Scope, batch, dedup};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::Notify;

#[derive(Clone, Debug)]
enum AppError {
    Failed(Failure),
}

impl AppError {
    fn failure(&self) -> &Failure {
        let Self::Failed(failure) = self;
        failure
    }
}

fn assert_panicked(failure: &Failure, function: &str, said: &str) {
    assert_eq!(failure.kind(), FailureKind::Panicked);
    assert!(failure.function().ends_with(function), "{failure}");
    assert_eq!(failure.panic_message(), Some(said));
    let error: &dyn Error = failure;
    assert!(error.to_string().contains(said), "{error}");
    assert!(error.to_string().contains(function), "{error}");
    assert!(format!("{failure:?}").contains(said), "{failure:?}");
}

#[tokio::test]
async fn a_leader_panics_with_its_payload_and_its_followers_get_an_error() {
    #[dedup(failed = AppError::Failed)]
    async fn user(id: u64) -> Result<u64, AppError> {
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        std::panic::panic_any(id)
    }
    let leader = tokio::spawn(user(7));
    tokio::task::yield_now().await;
    let follower = user(7).await.unwrap_err();
    let payload = leader.await.unwrap_err().into_panic();
    assert_eq!(payload.downcast_ref(), Some(&7_u64));
    assert_eq!(follower.failure().kind(), FailureKind::Panicked);
}

#[tokio::test]
async fn every_caller_of_a_spawned_execution_gets_an_error() {
    #[dedup(spawn, failed = |failure: Failure| AppError::Failed(failure))]
    async fn user(id: u64) -> Result<u64, AppError> {
        tokio::task::yield_now().await;
        panic!("no user {id}")
    }
    let (a, b) = tokio::join!(user(7), user(7));
    assert_panicked(a.unwrap_err().failure(), "::user", "no user 7");
    assert_panicked(b.unwrap_err().failure(), "::user", "no user 7");
}

#[tokio::test(start_paused = true)]
async fn every_caller_of_a_batch_gets_an_error() {
    #[batch(size = 10, delay_ms = 1, failed = AppError::Failed)]
    async fn save(ids: Vec<u64>) -> Result<(), AppError> {
        panic!("no {}", ids.len())
    }
    let (a, b) = tokio::join!(save(1), save(2));
    assert_panicked(a.unwrap_err().failure(), "::save", "no 2");
    assert_panicked(b.unwrap_err().failure(), "::save", "no 2");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_number_of_results_is_an_error_of_each() {
    struct Service {
        scope: Scope,
    }
    impl Service {
        #[batch(size = 10, delay_ms = 1, scope = self.scope, share_err = |error| AppError::clone(&error), failed = AppError::Failed)]
        async fn save(self: Arc<Self>, ids: Vec<u64>) -> Result<Vec<u64>, AppError> {
            Ok(ids.into_iter().skip(1).collect())
        }
    }
    let service = Arc::new(Service {
        scope: Scope::new(),
    });
    let (a, b) = tokio::join!(service.clone().save(1), service.clone().save(2));
    for error in [a.unwrap_err(), b.unwrap_err()] {
        let failure = error.failure();
        assert_eq!(failure.kind(), FailureKind::WrongNumber);
        assert_eq!(failure.panic_message(), None);
        let said = failure.to_string();
        assert!(
            said.contains(
                "returned 1 result for 2 items; if rows may be missing, use `one_by` or a map"
            ),
            "{said}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_loader_hands_the_failure_of_its_batch_to_all() {
    #[dedup]
    #[batch(size = 10, delay_ms = 1, failed = AppError::Failed)]
    async fn load(ids: Vec<u64>) -> Result<Vec<u64>, AppError> {
        // Without the panic hook: while it prints a backtrace, this thread polls nobody, and after 200 ms a follower may lead.
        std::panic::resume_unwind(Box::new(format!("no {}", ids.len())))
    }
    let (a, b, c) = tokio::join!(load(1), load(1), load(2));
    for error in [a, b, c].map(Result::unwrap_err) {
        assert_panicked(error.failure(), "::load", "no 2");
    }
}

#[test]
fn a_runtime_that_is_shut_down_under_a_batch_is_an_error_of_its_other_callers() {
    static RUNS: Notify = Notify::const_new();
    #[batch(size = 2, delay_ms = 60_000, failed = AppError::Failed)]
    async fn save(ids: Vec<u64>) -> Result<(), AppError> {
        drop(ids);
        RUNS.notify_one();
        std::future::pending().await
    }
    let opener = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let here = Builder::new_current_thread().enable_all().build().unwrap();
    let failure = here.block_on(async {
        let first = opener.spawn(save(1));
        // The task of the batch belongs to the runtime of the call that opened it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let second = save(2);
        let shut_down = async {
            RUNS.notified().await;
            opener.shutdown_background();
        };
        let (second, ()) = tokio::join!(second, shut_down);
        drop(first);
        second.unwrap_err().failure().clone()
    });
    assert_eq!(failure.kind(), FailureKind::RuntimeShutDown);
    assert!(failure.to_string().contains("was shut down"), "{failure}");
}

#[tokio::test]
async fn without_it_they_panic_with_the_same_words() {
    #[dedup(spawn)]
    async fn user(id: u64) -> u64 {
        panic!("no user {id}")
    }
    let panic = tokio::spawn(user(7)).await.unwrap_err();
    let said = panic.into_panic().downcast::<String>().unwrap();
    assert!(said.contains("panicked in the execution"), "{said}");
    assert!(said.contains("no user 7"), "{said}");
}
