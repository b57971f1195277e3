//! An HTTP proxy that changes requests and responses: for what a real service answers under load, and moto never does.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request.
pub(super) enum Answer {
    /// It is forwarded with this body, and the response goes through the function.
    Forward(Value, Box<dyn FnOnce(Value) -> Value + Send>),
    /// It is answered with this status and body.
    Reply(u16, Value),
}

impl Answer {
    pub(super) fn forward(body: Value) -> Self {
        Self::Forward(body, Box::new(|response| response))
    }
}

type Rule = dyn FnMut(&str, Value) -> Answer + Send;

pub(super) struct Proxy {
    pub(super) endpoint: String,
    requests: Arc<Mutex<HashMap<String, usize>>>,
}

impl Proxy {
    /// The rule gets the name of the operation, such as `BatchGetItem`, and the body.
    pub(super) async fn start(
        upstream: &str,
        rule: impl FnMut(&str, Value) -> Answer + Send + 'static,
    ) -> Self {
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<HashMap<String, usize>>>::default();
        let (counts, rule) = (requests.clone(), Arc::new(Mutex::new(rule)));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, counts, rule) = (upstream.clone(), counts.clone(), rule.clone());
                // A client that closes its connection ends this with an error.
                tokio::spawn(async move { serve(client, &upstream, &counts, &*rule).await });
            }
        });
        Self { endpoint, requests }
    }

    /// How many requests there were of this operation.
    pub(super) fn requests(&self, operation: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        requests.get(operation).copied().unwrap_or(0)
    }
}

/// Answers the requests of one connection, one after another.
async fn serve(
    mut client: TcpStream,
    upstream: &str,
    counts: &Mutex<HashMap<String, usize>>,
    rule: &Mutex<Rule>,
) -> io::Result<()> {
    loop {
        let (head, body) = read(&mut client).await?;
        let target = header(&head, "x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        *counts
            .lock()
            .unwrap()
            .entry(operation.to_owned())
            .or_default() += 1;
        let answer = rule.lock().unwrap()(operation, serde_json::from_slice(&body)?);
        let (status, body) = match answer {
            Answer::Reply(status, body) => (status, body),
            Answer::Forward(body, change) => {
                let (status, response) = forward(upstream, &head, body).await?;
                (status, change(response))
            }
        };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} -\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        client
            .write_all(&[head, body].concat().into_bytes())
            .await?;
    }
}

async fn forward(upstream: &str, head: &str, body: Value) -> io::Result<(u16, Value)> {
    let mut server = TcpStream::connect(upstream).await?;
    let body = body.to_string();
    let is_kept = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        !["content-length", "connection"].contains(&&*name.to_ascii_lowercase())
    };
    let mut request = String::new();
    for line in head.lines().filter(|line| !line.is_empty()).filter(is_kept) {
        request += line;
        request += "\r\n";
    }
    request += &format!(
        "connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    server.write_all(request.as_bytes()).await?;
    let (head, body) = read(&mut server).await?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("no status"))?;
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// The head of a message, and as much of a body as it says.
async fn read(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8(bytes).map_err(io::Error::other)?;
    let length = header(&head, "content-length").and_then(|length| length.parse().ok());
    let length: usize = length.unwrap_or(0);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((head, body))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
