//! One error for all calls. It is `Clone`, so several callers can have it.

use std::sync::Arc;

use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};

#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The whole call failed, after the client's own retries: all callers of the batch get this.
    #[error("{}", DisplayErrorContext(&**.0))]
    Call(Arc<dyn std::error::Error + Send + Sync>),
    /// One entry was refused, under HTTP 200: its own caller gets this.
    #[error("{code}: {message}")]
    Entry { code: String, message: String },
    /// DynamoDB did not get to this item, however often it was asked again.
    #[error("not processed after {attempts} attempts")]
    Unprocessed { attempts: u32 },
    /// The response has nothing for this entry.
    #[error("no result for this entry")]
    Missing,
    /// The request could not be built.
    #[error("{0}")]
    Invalid(String),
}

impl<E, R> From<SdkError<E, R>> for Error
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        Self::Call(Arc::new(error))
    }
}

impl From<aws_sdk_dynamodb::error::BuildError> for Error {
    fn from(error: aws_sdk_dynamodb::error::BuildError) -> Self {
        Self::Invalid(error.to_string())
    }
}
