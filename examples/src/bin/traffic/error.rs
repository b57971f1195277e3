//! The service's own error, as most services have one.

use std::sync::Arc;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),

    #[error("{0}")]
    Invalid(&'static str),

    /// An error that several callers got from one execution. `sqlx::Error` is not `Clone`; this
    /// variant is what `share_err = AppError::Shared` hands to each of them.
    #[error(transparent)]
    Shared(Arc<AppError>),
}

impl AppError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Shared(error) => error.status(),
        }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        (self.status(), self.to_string()).into_response()
    }
}
