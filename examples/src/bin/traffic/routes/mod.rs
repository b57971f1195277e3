//! The service: two routes, each in two versions. Compare `plain.rs` with `piggyback.rs`: the lines
//! that differ are what it takes to use this crate.

mod piggyback;
mod plain;

use std::net::SocketAddr;

use axum::{Router, routing::get, serve::ListenerExt as _};
use tokio::net::TcpListener;

use crate::database::Db;

/// How many posts one INSERT takes at most.
pub(crate) const BATCH_SIZE: usize = 10;
/// How long a post waits for others to come along.
pub(crate) const BATCH_DELAY_MS: u64 = 5;

/// Serves on a free port of the loopback interface until the program ends.
pub(crate) async fn serve(db: Db) -> std::io::Result<SocketAddr> {
    let app = Router::new()
        .nest("/plain", plain::routes())
        .nest("/piggyback", piggyback::routes())
        .route("/nothing", get(async || "nothing"))
        .with_state(db);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
