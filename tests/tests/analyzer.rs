//! Types and completions work in the unfinished body of an annotated function.
//!
//! The tests talk to rust-analyzer, if it is installed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use piggyback_tests::fresh::{Fresh, repository};

/// Bodies that end in a dot.
const UNFINISHED: &str = r#"
pub struct User {
    pub email: String,
}

#[derive(Clone)]
pub struct Service {
    pub tenant: u64,
}

async fn load(id: u64) -> User {
    User { email: id.to_string() }
}

#[piggyback::dedup]
pub async fn shared(id: u64) -> String {
    let first = load(id).await;
    first.
}

#[piggyback::batch(size = 10, eager)]
pub async fn bulk(ids: Vec<u64>) -> Vec<String> {
    let second = load(ids[0]).await;
    second.
}

impl Service {
    #[piggyback::dedup(spawn, skip(self))]
    pub async fn task(&self, id: u64) -> u64 {
        let third = self;
        third.
    }

    #[piggyback::batch(size = 10, eager, skip(self))]
    pub async fn receiver(&self, ids: Vec<u64>) -> Vec<u64> {
        self.
    }
}
"#;

/// The timeout for a server that does not answer.
const NEVER: Duration = Duration::from_secs(300);

/// A running rust-analyzer.
struct Server {
    child: Child,
    input: ChildStdin,
    messages: Receiver<String>,
    requests: u64,
}

impl Server {
    /// Returns `None` if rust-analyzer is not installed. rustup's proxy exists even then, so it is run to find out.
    fn start() -> Option<Self> {
        let version = Command::new("rust-analyzer").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let mut child = Command::new("rust-analyzer")
            .env("CARGO_NET_OFFLINE", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let input = child.stdin.take().expect("it is piped");
        let (sender, messages) = channel();
        thread::spawn(move || {
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Some(Self {
            child,
            input,
            messages,
            requests: 0,
        })
    }

    fn send(&mut self, message: &str) {
        let length = message.len();
        write!(self.input, "Content-Length: {length}\r\n\r\n{message}").expect("it listens");
        self.input.flush().expect("it listens");
    }

    fn notify(&mut self, method: &str, params: &str) {
        self.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#
        ));
    }

    /// The answer of the server.
    fn request(&mut self, method: &str, params: &str) -> String {
        self.requests += 1;
        let id = self.requests;
        self.send(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#
        ));
        loop {
            let message = self.messages.recv_timeout(NEVER).expect("it answers");
            if message.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"#))
                && !message.contains(r#""method":"#)
            {
                return message;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message, after its headers.
fn read(output: &mut impl BufRead) -> Option<String> {
    let mut length = 0;
    loop {
        let mut header = String::new();
        output
            .read_line(&mut header)
            .ok()
            .filter(|read| *read > 0)?;
        match header.trim().strip_prefix("Content-Length: ") {
            Some(number) => length = number.parse().ok()?,
            None if header.trim().is_empty() => break,
            None => {}
        }
    }
    let mut message = vec![0; length];
    output.read_exact(&mut message).ok()?;
    String::from_utf8(message).ok()
}

/// The line and the column after the first `text`.
fn after(text: &str) -> String {
    let end = UNFINISHED.find(text).expect("it is there") + text.len();
    let before = &UNFINISHED[..end];
    let line = before.matches('\n').count();
    let column = end - before.rfind('\n').map_or(0, |newline| newline + 1);
    format!(r#"{{"line":{line},"character":{column}}}"#)
}

fn json(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}

#[test]
fn an_unfinished_body_has_types_and_completions() {
    let Some(mut server) = Server::start() else {
        println!("skipped: rust-analyzer is not installed");
        return;
    };
    let runtime = repository().join("runtime");
    let tmp = env!("CARGO_TARGET_TMPDIR");
    let user = Fresh::new(
        tmp,
        "analyzer",
        &format!("[dependencies]\npiggyback = {{ path = {runtime:?} }}\n"),
    );
    // Creates the lock file and builds the attributes.
    user.succeeds(&["check"]);
    user.write("src/lib.rs", UNFINISHED);

    let root = json(&format!("file://{tmp}/analyzer"));
    let file = json(&format!("file://{tmp}/analyzer/src/lib.rs"));
    let options = r#"{"checkOnSave":false,"cachePriming":{"enable":false}}"#;
    let params = format!(
        r#"{{"processId":null,"rootUri":{root},"capabilities":{{}},"initializationOptions":{options}}}"#
    );
    server.request("initialize", &params);
    server.notify("initialized", "{}");
    let text = json(UNFINISHED);
    server.notify(
        "textDocument/didOpen",
        &format!(
            r#"{{"textDocument":{{"uri":{file},"languageId":"rust","version":1,"text":{text}}}}}"#
        ),
    );
    let mut ask = |method: &str, place: &str| {
        let position = after(place);
        server.request(
            method,
            &format!(r#"{{"textDocument":{{"uri":{file}}},"position":{position}}}"#),
        )
    };
    // It reads the crate, and builds the attributes, for some time.
    let mut answer = String::new();
    for _ in 0..300 {
        answer = ask("textDocument/completion", "first.");
        if answer.contains(r#""email""#) {
            break;
        }
        thread::sleep(Duration::from_millis(500));
    }
    assert!(answer.contains(r#""email""#), "{answer}");
    for (place, field) in [
        ("second.", "email"),
        ("third.", "tenant"),
        ("        self.", "tenant"),
    ] {
        let answer = ask("textDocument/completion", place);
        assert!(
            answer.contains(&format!("\"{field}\"")),
            "{place}: {answer}"
        );
    }
    for (place, ty) in [
        ("let fi", "User"),
        ("let sec", "User"),
        ("let th", "Service"),
    ] {
        let answer = ask("textDocument/hover", place);
        assert!(answer.contains(ty), "{place}: {answer}");
    }
}
