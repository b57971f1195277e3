//! The server, and the processes of a contender.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub const PROCESSES: usize = 8;

pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        Self {
            child: Self::child(port),
            port,
        }
    }

    fn child(port: u16) -> Child {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// On the same port, empty.
    pub fn restart(&mut self) {
        self.child = Self::child(self.port);
    }

    pub fn keys(&self) -> u64 {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port));
        let mut connection = client
            .expect("an address")
            .get_connection()
            .expect("it answers");
        redis::cmd("DBSIZE")
            .query(&mut connection)
            .expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Counts the commands that clients send, without those that scripts call.
pub struct Monitor {
    count: Arc<AtomicU64>,
}

impl Monitor {
    pub fn start(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it answers");
        stream.write_all(b"MONITOR\r\n").expect("it reads");
        let mut lines = BufReader::new(stream).lines();
        lines.next().expect("OK").expect("OK");
        let count = Arc::new(AtomicU64::new(0));
        let counts = count.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Keys and values may be of any bytes, but the source of a command comes first.
                let by_script = line.split(']').next().is_some_and(|it| it.ends_with("lua"));
                counts.fetch_add(u64::from(!by_script), SeqCst);
            }
        });
        Self { count }
    }

    pub fn count(&self) -> u64 {
        // What has been executed is on its way.
        std::thread::sleep(Duration::from_millis(50));
        self.count.load(SeqCst)
    }
}

/// Who, which word, the key, and a number.
pub type Said = (usize, String, u64, u128);

pub struct Processes {
    pub children: Vec<(Child, ChildStdin)>,
    said: Receiver<Said>,
}

impl Processes {
    pub fn start(mode: &str, port: u16) -> Self {
        let (sender, said) = channel();
        let children = (0..PROCESSES).map(|n| {
            let mut command = match mode {
                "dogpile" => {
                    let mut python = Command::new(crate::measure::python());
                    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/dogpile_process.py"));
                    python
                }
                _ => Command::new(std::env::current_exe().expect("this program")),
            };
            let mut child = command
                .env("FLEET_MODE", mode)
                .env("FLEET_PORT", port.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("it starts");
            let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    let words: Vec<&str> = line.split(' ').collect();
                    let number =
                        |n: usize| words.get(n).map_or(0, |it| it.parse().expect("a number"));
                    let said = (n, words[0].to_owned(), number(1) as u64, number(2));
                    if sender.send(said).is_err() {
                        return;
                    }
                }
            });
            let stdin = child.stdin.take().expect("piped");
            (child, stdin)
        });
        let children = children.collect();
        let processes = Self { children, said };
        (0..PROCESSES).for_each(|_| assert_eq!(processes.next().1, "ready"));
        processes
    }

    pub fn next(&self) -> Said {
        let said = self.said.recv_timeout(Duration::from_secs(60));
        said.expect("a process says something within a minute")
    }

    pub fn next_within(&self, time: Duration) -> Option<Said> {
        self.said.recv_timeout(time).ok()
    }

    pub fn say(&mut self, line: &str) {
        for (_, stdin) in &mut self.children {
            // One that was killed hears nothing.
            let _ = writeln!(stdin, "{line}");
        }
    }

    pub fn say_to(&mut self, n: usize, line: &str) {
        writeln!(self.children[n].1, "{line}").expect("it lives");
    }

    /// Rounds with these keys at the same time. `alive` processes answer.
    pub fn rounds(&mut self, keys: std::ops::Range<u64>, alive: usize) -> HashMap<u64, Round> {
        let mut rounds: HashMap<u64, Round> = HashMap::new();
        for key in keys.clone() {
            rounds.insert(key, Round::default());
            // Not always the same, which would favour whoever looks at the right intervals.
            self.say(&format!("round {key} {}", 100 + key * 7 % 50));
        }
        let mut left = rounds.len() * alive;
        while left > 0 {
            let (n, word, key, at) = self.next();
            let Some(round) = rounds.get_mut(&key) else {
                continue;
            };
            match &*word {
                "begin" => round.ran.push(n),
                "end" => round.ended = round.ended.max(at),
                "error" => round.errors += 1,
                "returned" => {
                    round.returned.push((n, at));
                    left -= 1;
                }
                other => unreachable!("{other}"),
            }
        }
        rounds
    }

    /// Waits for a word of anyone.
    pub fn wait_for(&self, wanted: &str) -> (Said, Instant) {
        loop {
            let said = self.next();
            if said.1 == wanted {
                return (said, Instant::now());
            }
        }
    }
}

#[derive(Debug, Default)]
pub struct Round {
    /// Who ran the body.
    pub ran: Vec<usize>,
    /// When the last body ended.
    pub ended: u128,
    /// When the last caller of a process had its result.
    pub returned: Vec<(usize, u128)>,
    pub errors: usize,
}

impl Drop for Processes {
    fn drop(&mut self) {
        for (child, _) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
