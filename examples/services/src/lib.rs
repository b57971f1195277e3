//! What the tests of the web services have in common: a client that sends one request over a connection of its own.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends a request, such as `GET /users/7`, and returns the status and the body of the response.
pub async fn http(
    address: SocketAddr,
    method_and_path: &str,
    body: &str,
) -> io::Result<(u16, String)> {
    let (status, _, body) = http_with_headers(address, method_and_path, body).await?;
    Ok((status, body))
}

/// Sends a request, and returns the status, the lines of headers and the body of the response.
pub async fn http_with_headers(
    address: SocketAddr,
    method_and_path: &str,
    body: &str,
) -> io::Result<(u16, String, String)> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!(
        "{method_and_path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    connection.read_to_string(&mut response).await?;
    let parsed = response.split_once("\r\n\r\n").and_then(|(head, body)| {
        let (line, headers) = head.split_once("\r\n")?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        Some((status, headers.to_owned(), body.to_owned()))
    });
    parsed.ok_or_else(|| io::Error::other(format!("not a response: {response:?}")))
}
