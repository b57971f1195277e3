//! A caller: one HTTP connection, kept alive, with one request on it at a time.

use std::{
    hash::{DefaultHasher, Hasher as _},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::post::NewPost;

/// The same service without piggyback and with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// As one writes it without this crate.
    Plain,
    /// `#[batch]` with the two settings of the article, a size and a delay.
    Delay,
    /// `#[dedup]`, and `#[batch]` with `eager`.
    Piggyback,
}

impl Route {
    /// The first part of its path, and its class in the page.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Delay => "delay",
            Self::Piggyback => "piggyback",
        }
    }
}

/// A request to one of the services.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Nothing,
    Timeline(i64),
    Post(NewPost),
}

/// The answer to a call.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) call: Call,
    pub(crate) status: StatusCode,
    /// A hash of the body: equal timelines have equal ones.
    pub(crate) body: u64,
    pub(crate) latency: Duration,
}

#[derive(Debug)]
pub(crate) struct Caller {
    connection: SendRequest<Full<Bytes>>,
}

impl Caller {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Self { connection })
    }

    pub(crate) async fn call(&mut self, route: Route, call: Call) -> anyhow::Result<Reply> {
        let request = request(route, &call)?;
        let start = Instant::now();
        self.connection
            .ready()
            .await
            .context("the server has hung up")?;
        let response = self.connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let latency = start.elapsed();

        let mut hasher = DefaultHasher::new();
        hasher.write(&body);
        let body = hasher.finish();
        Ok(Reply {
            call,
            status,
            body,
            latency,
        })
    }
}

fn request(route: Route, call: &Call) -> anyhow::Result<Request<Full<Bytes>>> {
    let request = Request::builder().header(HOST, "localhost");
    let route = route.name();
    Ok(match call {
        Call::Nothing => request.uri("/nothing").body(Full::default())?,
        Call::Timeline(person) => request
            .uri(format!("/{route}/timeline/{person}"))
            .body(Full::default())?,
        Call::Post(post) => request
            .method("POST")
            .uri(format!("/{route}/posts"))
            .header(CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(post)?.into())?,
    })
}
