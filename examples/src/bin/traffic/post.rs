//! A post: as it comes in, and as a timeline shows it.

use serde::{Deserialize, Serialize};

use crate::error::AppError;

/// A post that somebody wants to publish.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPost {
    pub(crate) author: i64,
    pub(crate) text: String,
    /// The caller's own number for this post. No constraint keeps it unique: if a post were saved
    /// twice, the checks would see it.
    pub(crate) ticket: i64,
}

impl NewPost {
    pub(crate) const LONGEST: usize = 280;

    pub(crate) fn validate(&self) -> Result<(), AppError> {
        if self.text.trim().is_empty() {
            return Err(AppError::Invalid("a post needs a text"));
        }
        if self.text.chars().count() > Self::LONGEST {
            return Err(AppError::Invalid("a post has at most 280 characters"));
        }
        Ok(())
    }
}

/// A post in a timeline.
#[derive(Debug, Serialize, sqlx::FromRow)]
pub(crate) struct Post {
    id: i64,
    author: String,
    text: String,
    /// In seconds since 1970.
    created: i64,
}
