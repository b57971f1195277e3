//! Posts as in the article: each waits for others, for a fixed time or until a batch is full.

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use piggyback::batch;

use super::{BATCH_DELAY_MS, BATCH_SIZE};
use crate::{database::Db, error::AppError, post::NewPost};

#[batch(size = BATCH_SIZE, delay_ms = BATCH_DELAY_MS, skip(db), share_err = AppError::Shared)]
async fn save_posts(db: &Db, posts: &[NewPost]) -> Result<(), AppError> {
    db.insert_posts(posts).await?;
    Ok(())
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
    Router::new().route("/posts", post(post_post))
}
