//! The same service with piggyback: requests share queries.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use piggyback::{batch, dedup};

use crate::{
    database::Db,
    error::AppError,
    post::{NewPost, Post},
};

/// Overlapping requests for the timeline of one person share a SELECT.
#[dedup(skip(db), share_err = AppError::Shared)]
async fn timeline(db: &Db, person: i64) -> Result<Arc<[Post]>, AppError> {
    let posts = db.newest_posts(person).await?;
    Ok(posts.into())
}

/// Posts that arrive while an INSERT runs go into the next one.
#[batch(size = 100, eager, skip(db), share_err = AppError::Shared)]
async fn save_posts(db: &Db, posts: &[NewPost]) -> Result<(), AppError> {
    db.insert_posts(posts).await?;
    Ok(())
}

async fn get_timeline(
    State(db): State<Db>,
    Path(person): Path<i64>,
) -> Result<Json<Arc<[Post]>>, AppError> {
    Ok(Json(timeline(&db, person).await?))
}

async fn post_post(
    State(db): State<Db>,
    Json(post): Json<NewPost>,
) -> Result<StatusCode, AppError> {
    post.validate()?;
    save_posts(&db, post).await?;
    Ok(StatusCode::CREATED)
}

pub(super) fn routes() -> Router<Db> {
    Router::new()
        .route("/timeline/{person}", get(get_timeline))
        .route("/posts", post(post_post))
}
