//! Why a call has no result: the execution or the batch that it shared came to nothing. A call panics with it, or makes an
//! error of it with `failed`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Says why a call has no result of its own: the body panicked, its runtime was shut down, or a bulk call returned the
/// wrong number of results.
///
/// Without the option `failed`, a call panics with this message. With `failed = …`, it gets an `Err` that the given
/// function makes of the `Failure`.
///
/// ```
/// use piggyback::{Failure, FailureKind, batch};
///
/// #[derive(Clone, Debug)]
/// enum AppError {
///     Failed(Failure),
/// }
///
/// #[batch(size = 10, delay_ms = 1, failed = AppError::Failed)]
/// async fn prices(ids: Vec<u64>) -> Result<Vec<u64>, AppError> {
///     Ok(ids.iter().map(|id| 100 / id).collect()) // panics for 0
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let AppError::Failed(failure) = prices(0).await.unwrap_err();
/// assert_eq!(failure.kind(), FailureKind::Panicked);
/// assert_eq!(failure.panic_message(), Some("attempt to divide by zero"));
/// assert!(failure.function().ends_with("prices"));
/// # });
/// ```
#[derive(Clone)]
pub struct Failure(Arc<Inner>);

struct Inner {
    function: Box<str>,
    shared: Shared,
    why: Why,
}

/// The thing that the call shared.
#[derive(Clone, Copy)]
pub(crate) enum Shared {
    Execution,
    Batch,
}

/// The cause.
pub(crate) enum Why {
    Panicked(Box<str>),
    RuntimeShutDown,
    WrongNumber { items: usize, results: usize },
}

/// The kind of a failure, for code that tells failures apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The body panicked.
    Panicked,
    /// The tokio runtime that ran the body was shut down before the body had finished.
    RuntimeShutDown,
    /// A bulk call returned more or fewer results than it was given items.
    WrongNumber,
}

impl Failure {
    #[cold]
    pub(crate) fn new(function: &str, shared: Shared, why: Why) -> Self {
        Self(Arc::new(Inner {
            function: function.into(),
            shared,
            why,
        }))
    }

    /// The path of the function, or its `name`, as stats show it.
    pub fn function(&self) -> &str {
        &self.0.function
    }

    /// The kind of this failure.
    pub fn kind(&self) -> FailureKind {
        match self.0.why {
            Why::Panicked(_) => FailureKind::Panicked,
            Why::RuntimeShutDown => FailureKind::RuntimeShutDown,
            Why::WrongNumber { .. } => FailureKind::WrongNumber,
        }
    }

    /// The message of the panic, if the body panicked.
    pub fn panic_message(&self) -> Option<&str> {
        match &self.0.why {
            Why::Panicked(said) => Some(said),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            function,
            shared,
            why,
        } = &*self.0;
        let of = match shared {
            Shared::Execution => "the execution that this call shares",
            Shared::Batch => "the bulk call that this call was part of",
        };
        let this = match shared {
            Shared::Execution => "execution",
            Shared::Batch => "batch",
        };
        match why {
            Why::Panicked(said) => write!(f, "`{function}` panicked in {of}: {said}"),
            Why::RuntimeShutDown => write!(
                f,
                "`{function}`: the tokio runtime that was running this {this} was shut down before it finished"
            ),
            Why::WrongNumber { items, results } => {
                let plural = |count| if count == 1 { "" } else { "s" };
                write!(
                    f,
                    "`{function}` returned {results} result{} for {items} item{}; if rows may be missing, use `one_by` or a map",
                    plural(*results),
                    plural(*items)
                )
            }
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("function", &self.function())
            .field("kind", &self.kind())
            .field("message", &format_args!("{self}"))
            .finish()
    }
}

impl Error for Failure {}
