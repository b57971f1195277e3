//! The service: two routes, in several versions. Compare `plain.rs` with `piggyback.rs`: the two files differ by the line
//! above each function that queries, and by the way in which one post is passed.

mod delay;
mod piggyback;
mod plain;

use std::net::SocketAddr;

use axum::{Router, routing::get, serve::ListenerExt as _};
use tokio::net::TcpListener;

use crate::database::Db;

/// The two settings of the route with a delay: how many posts one INSERT takes at most, and how long a post waits for
/// others.
pub(crate) const BATCH_SIZE: usize = 10;
pub(crate) const BATCH_DELAY_MS: u64 = 5;

/// The lines of `piggyback.rs` that make the difference.
pub(crate) const LINES: [&str; 2] = [
    "#[dedup(skip(db), share_err = AppError::Shared)]",
    "#[batch(size = 100, eager, skip(db), share_err = AppError::Shared)]",
];

/// Serves on a free port of the loopback interface until the program ends.
pub(crate) async fn serve(db: Db) -> std::io::Result<SocketAddr> {
    let app = Router::new()
        .nest("/plain", plain::routes())
        .nest("/delay", delay::routes())
        .nest("/piggyback", piggyback::routes())
        .route("/nothing", get(async || "nothing"))
        .with_state(db);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
