//! Eight processes, one hot key: what sharing across processes saves, and what it costs.
//!
//! ```sh
//! cargo run --release -p piggyback-redis --example fleet
//! ```
//!
//! Starts a redis-server of its own, and itself again eight times. In each round, 64 tasks of each process call the same function
//! with the same key at the same moment; its body takes 100 to 150 ms. Then one process calls alone, then the leader is killed in the
//! middle of a round, then Redis.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use piggyback::dedup;
use piggyback::fleet::Fleet;
use tokio::time::sleep;

const PROCESSES: usize = 8;
const CALLERS: usize = 64;
/// The body of a round. Not always the same, which would favour whoever looks at the right intervals.
fn body_of(round: u64) -> Duration {
    Duration::from_millis(100 + round * 7 % 50)
}

fn main() {
    if std::env::var("FLEET_MODE").is_ok() {
        child();
    } else {
        parent();
    }
}

// --- one process of the fleet ---

fn client() -> redis::Client {
    let port = std::env::var("FLEET_PORT").expect("the parent says it");
    redis::Client::open(format!("redis://127.0.0.1:{port}/")).expect("an address")
}

static FLEET: LazyLock<Fleet> = LazyLock::new(|| piggyback_redis::fleet("demo", client()));

fn micros() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock that is set").as_micros()
}

async fn expensive(key: u64, time: Duration) -> u64 {
    println!("begin {}", micros());
    sleep(time).await;
    println!("end {}", micros());
    key
}

#[dedup(spawn)]
async fn local(key: u64, time: Duration) -> u64 {
    expensive(key, time).await
}

#[dedup(across = FLEET, spawn)]
async fn across(key: u64, time: Duration) -> u64 {
    expensive(key, time).await
}

/// What is written by hand where there is no library: a lock, and a look every 50 ms.
#[dedup(spawn)]
async fn by_hand(key: u64, time: Duration) -> u64 {
    static CONNECTION: tokio::sync::OnceCell<redis::aio::MultiplexedConnection> =
        tokio::sync::OnceCell::const_new();
    let connect = async || {
        client()
            .get_multiplexed_async_connection()
            .await
            .expect("it answers")
    };
    let mut connection = CONNECTION.get_or_init(connect).await.clone();
    let (lock, result) = (format!("lock:{key}"), format!("result:{key}"));
    loop {
        let get = redis::cmd("GET").arg(&result).to_owned();
        if let Some(value) = get.query_async(&mut connection).await.expect("it answers") {
            return value;
        }
        let set = redis::cmd("SET")
            .arg(&lock)
            .arg(1)
            .arg("NX")
            .arg("PX")
            .arg(3000)
            .to_owned();
        let locked: Option<String> = set.query_async(&mut connection).await.expect("it answers");
        if locked.is_some() {
            let value = expensive(key, time).await;
            let set = redis::cmd("SET")
                .arg(&result)
                .arg(value)
                .arg("PX")
                .arg(250)
                .to_owned();
            let () = set.query_async(&mut connection).await.expect("it answers");
            let delete = redis::cmd("DEL").arg(&lock).to_owned();
            let () = delete
                .query_async(&mut connection)
                .await
                .expect("it answers");
            return value;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn child() {
    let mode = std::env::var("FLEET_MODE").expect("the parent says it");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let one = async |key, time| match &*mode {
            "plain" => expensive(key, time).await,
            "dedup" => local(key, time).await,
            "hand" => by_hand(key, time).await,
            _ => across(key, time).await,
        };
        let begin = Instant::now();
        while mode == "fleet" && !FLEET.is_up() && begin.elapsed() < Duration::from_secs(5) {
            sleep(Duration::from_millis(5)).await;
        }
        println!("ready");
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let (what, key) = line.split_once(' ').expect("a command and a key");
            let key: u64 = key.parse().expect("a number");
            match what {
                "round" => {
                    let calls: Vec<_> = (0..CALLERS)
                        .map(|_| {
                            let mode = mode.clone();
                            tokio::spawn(async move {
                                match &*mode {
                                    "plain" => expensive(key, body_of(key)).await,
                                    "dedup" => local(key, body_of(key)).await,
                                    "hand" => by_hand(key, body_of(key)).await,
                                    _ => across(key, body_of(key)).await,
                                }
                            })
                        })
                        .collect();
                    for call in calls {
                        assert_eq!(call.await.expect("no panic"), key);
                    }
                    println!("returned {}", micros());
                }
                _ => {
                    let mut times = Vec::new();
                    for n in 0..key {
                        let begin = Instant::now();
                        one(1_000_000 + n, Duration::ZERO).await;
                        times.push(begin.elapsed().as_micros());
                    }
                    times.sort_unstable();
                    println!("lone {}", times[times.len() / 2]);
                }
            }
        }
    });
}

// --- the parent ---

struct Server(Child, u16);

impl Server {
    fn start(port: u16) -> Self {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Self(child, port)
    }

    fn command(&self, command: &str) -> String {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.1));
        let mut connection = client
            .expect("an address")
            .get_connection()
            .expect("it answers");
        redis::cmd(command)
            .query::<redis::Value>(&mut connection)
            .map_or_else(
                |error| error.to_string(),
                |value| match value {
                    redis::Value::Int(number) => number.to_string(),
                    other => format!("{other:?}"),
                },
            )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processes, and what they say: who, which word, and its number.
struct Processes {
    children: Vec<(Child, ChildStdin)>,
    said: Receiver<(usize, String, u128)>,
}

impl Processes {
    fn start(mode: &str, port: u16) -> Self {
        let (sender, said) = channel();
        let children = (0..PROCESSES)
            .map(|n| {
                let mut child = Command::new(std::env::current_exe().expect("this program"))
                    .env("FLEET_MODE", mode)
                    .env("FLEET_PORT", port.to_string())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("it starts");
                let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
                let sender = sender.clone();
                std::thread::spawn(move || {
                    for line in lines.map_while(Result::ok) {
                        let (word, number) = line.split_once(' ').unwrap_or((&line, "0"));
                        let number = number.parse().expect("a number");
                        if sender.send((n, word.to_owned(), number)).is_err() {
                            return;
                        }
                    }
                });
                let stdin = child.stdin.take().expect("piped");
                (child, stdin)
            })
            .collect();
        let processes = Self { children, said };
        (0..PROCESSES).for_each(|_| drop(processes.next()));
        processes
    }

    fn next(&self) -> (usize, String, u128) {
        let said = self.said.recv_timeout(Duration::from_secs(60));
        said.expect("a process says something within a minute")
    }

    fn say(&mut self, line: &str) {
        for (_, stdin) in &mut self.children {
            let _ = writeln!(stdin, "{line}");
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for (child, _) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn percentile(times: &mut [u128], part: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() * part / 100).min(times.len() - 1)] as f64 / 1000.0
}

fn parent() {
    let rounds: u64 = std::env::args()
        .nth(1)
        .map_or(50, |n| n.parse().expect("a number of rounds"));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let server = Server::start(port);
    println!(
        "{PROCESSES} processes, {CALLERS} callers each, one key, a body of 100 to 150 ms, {rounds} rounds\n"
    );
    println!(
        "{:<28}{:>18}{:>16}{:>16}{:>16}",
        "", "bodies per round", "late, p50 ms", "late, p99 ms", "alone, p50 ms"
    );
    for (mode, name) in [
        ("plain", "plain"),
        ("dedup", "#[dedup]"),
        ("hand", "SET NX, looks every 50 ms"),
        ("fleet", "#[dedup] and a fleet"),
    ] {
        let mut processes = Processes::start(mode, port);
        let (mut bodies, mut late) = (0, Vec::new());
        for round in 0..rounds {
            processes.say(&format!("round {round}"));
            let (mut ends, mut returned) = (0, Vec::new());
            while returned.len() < PROCESSES {
                match processes.next() {
                    (_, word, _) if word == "begin" => bodies += 1,
                    (_, word, at) if word == "end" => ends = at.max(ends),
                    (_, word, at) if word == "returned" => returned.push(at),
                    _ => {}
                }
            }
            late.extend(returned.iter().map(|at| at.saturating_sub(ends)));
        }
        let _ = writeln!(processes.children[0].1, "alone 300");
        let alone = loop {
            let (_, word, micros) = processes.next();
            if word == "lone" {
                break micros;
            }
        };
        println!(
            "{name:<28}{:>18.3}{:>16.2}{:>16.2}{:>16.2}",
            bodies as f64 / rounds as f64,
            percentile(&mut late, 50),
            percentile(&mut late, 99),
            alone as f64 / 1000.0,
        );
    }
    println!(
        "\nlate: after the end of the last body, until the last caller of a process has its result"
    );
    std::thread::sleep(Duration::from_secs(4));
    println!("keys left 4 s later: {}\n", server.command("DBSIZE"));
    time_line(server, port);
}

/// What happens when a leader, and then Redis, is killed.
fn time_line(server: Server, port: u16) {
    let mut processes = Processes::start("fleet", port);
    processes.say("round 1");
    let begin = Instant::now();
    let at = || format!("{:>7.1} ms", begin.elapsed().as_secs_f64() * 1000.0);
    let mut expected = PROCESSES;
    let mut killed = None;
    while expected > 0 {
        match processes.next() {
            (n, word, _) if word == "begin" => {
                println!("{}  process {n} runs the body for all", at());
                if killed.is_none() {
                    std::thread::sleep(Duration::from_millis(50));
                    let _ = processes.children[n].0.kill();
                    println!("{}  process {n} is killed", at());
                    killed = Some(n);
                    expected -= 1;
                }
            }
            (n, word, _) if word == "returned" => {
                expected -= 1;
                if expected == 0 {
                    println!("{}  process {n} is the last to have the result", at());
                }
            }
            _ => {}
        }
    }
    drop(server);
    println!("{}  Redis is killed", at());
    processes.say("round 2");
    let (mut bodies, mut expected) = (0, PROCESSES - 1);
    while expected > 0 {
        let (_, word, _) = processes.next();
        bodies += usize::from(word == "begin");
        expected -= usize::from(word == "returned");
    }
    println!(
        "{}  a round without Redis: {bodies} bodies for 7 processes, no call fails",
        at()
    );
    let _server = Server::start(port);
    println!("{}  Redis is back", at());
    for round in 3.. {
        processes.say(&format!("round {round}"));
        let (mut bodies, mut expected) = (0, PROCESSES - 1);
        while expected > 0 {
            let (_, word, _) = processes.next();
            bodies += usize::from(word == "begin");
            expected -= usize::from(word == "returned");
        }
        println!("{}  a round: {bodies} bodies", at());
        if bodies == 1 {
            break;
        }
    }
}
