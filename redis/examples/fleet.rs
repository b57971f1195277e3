//! Eight processes, one hot key: how many executions there are, and what happens when the leader or Redis is killed.
//!
//! ```sh
//! cargo run --release -p piggyback-redis --example fleet                # a table, and a time line
//! cargo run --release -p piggyback-redis --example fleet -- fleet.svg   # the time line as a picture, too
//! ```
//!
//! Starts a redis-server of its own, and itself again eight times. In each round, 64 tasks of each process call the same function
//! with the same key at the same moment. `benches/fleet` measures this beside other ways to do it.

use std::fmt::Write as _;
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
const ROUNDS: u64 = 20;

fn main() {
    match std::env::var("FLEET_MODE") {
        Ok(mode) => child(&mode),
        Err(_) => parent(),
    }
}

// --- one process of the fleet ---

static FLEET: LazyLock<Fleet> = LazyLock::new(|| {
    let port = std::env::var("FLEET_PORT").expect("the parent says it");
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"));
    piggyback_redis::fleet("demo", client.expect("an address"))
});

fn micros() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock that is set").as_micros()
}

async fn expensive(key: u64, millis: u64) -> u64 {
    println!("begin {}", micros());
    sleep(Duration::from_millis(millis)).await;
    println!("end {}", micros());
    key
}

#[dedup(spawn, skip(millis))]
async fn local(key: u64, millis: u64) -> u64 {
    expensive(key, millis).await
}

#[dedup(across = FLEET, spawn, skip(millis))]
async fn across(key: u64, millis: u64) -> u64 {
    expensive(key, millis).await
}

fn child(mode: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let begin = Instant::now();
        while mode == "fleet" && !FLEET.is_up() && begin.elapsed() < Duration::from_secs(5) {
            sleep(Duration::from_millis(5)).await;
        }
        println!("ready {}", micros());
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let (key, millis) = line.split_once(' ').expect("a key and a time");
            let [key, millis] = [key, millis].map(|it| it.parse::<u64>().expect("a number"));
            let calls: Vec<_> = (0..CALLERS)
                .map(|_| match mode {
                    "plain" => tokio::spawn(expensive(key, millis)),
                    "dedup" => tokio::spawn(async move { local(key, millis).await }),
                    _ => tokio::spawn(async move { across(key, millis).await }),
                })
                .collect();
            for call in calls {
                assert_eq!(call.await.expect("no call fails"), key);
            }
            println!("returned {}", micros());
        }
    });
}

// --- the parent ---

struct Server(Child);

impl Server {
    fn start(port: u16) -> Self {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(2));
        }
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Ready,
    Begin,
    End,
    Returned,
}

/// The processes, and what they say: who, what, and when.
struct Processes {
    children: Vec<(Child, ChildStdin)>,
    said: Receiver<(usize, Word, u128)>,
}

impl Processes {
    fn start(mode: &str, port: u16) -> Self {
        let (sender, said) = channel();
        let children = (0..PROCESSES).map(|n| {
            let mut child = Command::new(std::env::current_exe().expect("this program"))
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
                    let (word, at) = line.split_once(' ').expect("a word and a time");
                    let word = match word {
                        "ready" => Word::Ready,
                        "begin" => Word::Begin,
                        "end" => Word::End,
                        _ => Word::Returned,
                    };
                    let at = at.parse().expect("a number");
                    if sender.send((n, word, at)).is_err() {
                        return;
                    }
                }
            });
            let stdin = child.stdin.take().expect("piped");
            (child, stdin)
        });
        let children = children.collect();
        let processes = Self { children, said };
        (0..PROCESSES).for_each(|_| assert_eq!(processes.next().1, Word::Ready));
        processes
    }

    fn next(&self) -> (usize, Word, u128) {
        let said = self.said.recv_timeout(Duration::from_secs(60));
        said.expect("a process says something within a minute")
    }

    fn call(&mut self, key: u64, millis: u64) {
        for (_, stdin) in &mut self.children {
            // One that was killed hears nothing.
            let _ = writeln!(stdin, "{key} {millis}");
        }
    }

    /// Until so many have returned. Returns how many bodies began.
    fn returned(&self, alive: usize, mut see: impl FnMut(usize, Word, u128)) -> usize {
        let (mut bodies, mut left) = (0, alive);
        while left > 0 {
            let (n, word, at) = self.next();
            bodies += usize::from(word == Word::Begin);
            left -= usize::from(word == Word::Returned);
            see(n, word, at);
        }
        bodies
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

fn parent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let server = Server::start(port);
    println!("{PROCESSES} processes with {CALLERS} callers each, one key, a body of 100 ms\n");
    println!("                         executions in {ROUNDS} rounds");
    for (mode, name) in [
        ("plain", "no sharing"),
        ("dedup", "#[dedup]"),
        ("fleet", "#[dedup(across = FLEET)]"),
    ] {
        let mut processes = Processes::start(mode, port);
        let bodies: usize = (0..ROUNDS)
            .map(|round| {
                processes.call(round, 100);
                processes.returned(PROCESSES, |_, _, _| {})
            })
            .sum();
        println!("{name:<25}{bodies:>10}");
    }
    let story = Story::play(server, port);
    println!("\n{}", story.text());
    if let Some(path) = std::env::args().nth(1) {
        std::fs::write(&path, story.svg()).expect("it can be written");
        println!("The picture is in {path}.");
    }
}

/// What happens in one lane of the picture, in milliseconds.
struct Bar {
    lane: usize,
    from: f64,
    to: f64,
    runs: bool,
}

/// A leader is killed, then Redis, which comes back.
struct Story {
    begin: u128,
    bars: Vec<Bar>,
    /// A process or, beyond these, Redis.
    killed: Vec<(usize, f64)>,
    /// When Redis was there.
    redis: Vec<[f64; 2]>,
    events: Vec<(f64, String)>,
}

impl Story {
    fn now(&self) -> f64 {
        self.at(micros())
    }

    fn at(&self, micros: u128) -> f64 {
        micros.saturating_sub(self.begin) as f64 / 1000.0
    }

    fn tell(&mut self, at: f64, what: impl Into<String>) {
        self.events.push((at, what.into()));
    }

    /// A round of all that live. In the first one, the leader is killed; in another, Redis may be.
    fn round(
        &mut self,
        processes: &mut Processes,
        [key, millis]: [u64; 2],
        mut fault: Option<&mut dyn FnMut(&mut Self, usize, &mut Processes)>,
    ) -> usize {
        let from = self.now();
        processes.call(key, millis);
        let mut began = [None; PROCESSES];
        let dead = |story: &Self| story.killed.iter().filter(|(n, _)| *n < PROCESSES).count();
        let (mut bodies, mut returned) = (0, 0);
        while returned < PROCESSES - dead(self) {
            let (n, word, at) = processes.next();
            let at = self.at(at);
            match word {
                Word::Begin => {
                    bodies += 1;
                    began[n] = Some(at);
                    if let Some(fault) = fault.take() {
                        self.tell(at, format!("process {n} runs the body for all"));
                        std::thread::sleep(Duration::from_millis(150));
                        fault(self, n, processes);
                        let now = self.now();
                        if self.killed.iter().any(|(killed, _)| *killed == n) {
                            self.bar(n, at, now, true);
                            began[n] = None;
                        }
                    } else if bodies == 2 {
                        self.tell(at, format!("process {n} begins"));
                    }
                }
                Word::End => {
                    let begin = began[n].take().expect("it began");
                    self.bar(n, from, begin, false);
                    self.bar(n, begin, at, true);
                }
                Word::Returned => {
                    returned += 1;
                    if !self
                        .bars
                        .iter()
                        .any(|bar| bar.lane == n && bar.from >= from)
                    {
                        self.bar(n, from, at, false);
                    }
                }
                Word::Ready => {}
            }
        }
        let alive = PROCESSES - dead(self);
        let now = self.now();
        self.tell(
            now,
            format!("{alive} processes have the result of {bodies} executions"),
        );
        std::thread::sleep(Duration::from_millis(60));
        bodies
    }

    fn bar(&mut self, lane: usize, from: f64, to: f64, runs: bool) {
        self.bars.push(Bar {
            lane,
            from,
            to,
            runs,
        });
    }

    fn play(server: Server, port: u16) -> Self {
        let mut processes = Processes::start("fleet", port);
        let mut story = Self {
            begin: micros(),
            bars: Vec::new(),
            killed: Vec::new(),
            redis: Vec::new(),
            events: Vec::new(),
        };
        let mut kill_leader = |story: &mut Self, n: usize, processes: &mut Processes| {
            let _ = processes.children[n].0.kill();
            story.killed.push((n, story.now()));
            story.tell(story.now(), format!("process {n} is killed"));
        };
        story.round(&mut processes, [1, 300], Some(&mut kill_leader));
        let mut server = Some(server);
        let mut kill_redis = |story: &mut Self, _: usize, _: &mut Processes| {
            server.take();
            story.killed.push((PROCESSES, story.now()));
            story.redis.push([0.0, story.now()]);
            story.tell(story.now(), "Redis is killed");
        };
        story.round(&mut processes, [2, 300], Some(&mut kill_redis));
        let _server = Server::start(port);
        let back = story.now();
        story.tell(back, "Redis is back");
        for key in 3.. {
            if story.round(&mut processes, [key, 100], None) == 1 {
                break;
            }
        }
        story.redis.push([back, story.now()]);
        story
    }

    fn text(&self) -> String {
        let mut events = self.events.clone();
        events.sort_by(|one, other| one.0.total_cmp(&other.0));
        let lines = events
            .iter()
            .map(|(at, what)| format!("{at:>7.0} ms  {what}\n"));
        lines.collect()
    }

    fn svg(&self) -> String {
        const LEFT: f64 = 92.0;
        const TOP: f64 = 44.0;
        const LANE: f64 = 22.0;
        const WIDTH: f64 = 720.0;
        let end = self.redis.iter().map(|[_, to]| *to).fold(1.0, f64::max);
        let x = |at: f64| LEFT + at / end * (WIDTH - LEFT - 12.0);
        let y = |lane: usize| TOP + lane as f64 * LANE;
        let height = y(PROCESSES + 1) + 64.0;
        let title = "Eight processes, one key: the leader is killed, then Redis";
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\" font-size=\"13\" font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n\
             <text x=\"12\" y=\"24\" font-size=\"15\" font-weight=\"600\" fill=\"#1b1f24\">{title}</text>"
        );
        for lane in 0..=PROCESSES {
            let name = match lane {
                PROCESSES => "Redis".to_owned(),
                n => format!("process {n}"),
            };
            let _ = writeln!(
                svg,
                "<text x=\"12\" y=\"{}\" fill=\"#1b1f24\">{name}</text>",
                y(lane) + 13.0
            );
        }
        let mut rect = |lane, from: f64, to: f64, color: &str, what: &str| {
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{}\" width=\"{:.1}\" height=\"14\" rx=\"3\" fill=\"{color}\"><title>{what}, {from:.0} to {to:.0} ms</title></rect>",
                x(from),
                y(lane) + 2.0,
                (x(to) - x(from)).max(1.0)
            );
        };
        for bar in &self.bars {
            let (color, what) = match bar.runs {
                true => ("#c2560c", "runs the body"),
                false => ("#b9d7e6", "waits"),
            };
            rect(bar.lane, bar.from, bar.to, color, what);
        }
        for [from, to] in &self.redis {
            rect(PROCESSES, *from, *to, "#6b7683", "Redis runs");
        }
        for (lane, at) in &self.killed {
            let (x, y) = (x(*at), y(*lane) + 9.0);
            let _ = writeln!(
                svg,
                "<path d=\"M{:.1} {}l10 10m0 -10l-10 10\" stroke=\"#1b1f24\" stroke-width=\"2.5\"/>",
                x - 5.0,
                y - 5.0
            );
        }
        let axis = y(PROCESSES + 1) + 4.0;
        for tick in (0..)
            .map(|n| f64::from(n) * 500.0)
            .take_while(|tick| *tick <= end)
        {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#5c6670\">{tick} ms</text>",
                x(tick),
                axis + 12.0
            );
        }
        let keys = [
            ("#b9d7e6", "waits", 0.0),
            ("#c2560c", "runs the body", 80.0),
            ("#6b7683", "Redis runs", 210.0),
        ];
        for (color, what, at) in keys {
            let (x, y) = (LEFT + at, axis + 28.0);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"14\" height=\"14\" rx=\"3\" fill=\"{color}\"/><text x=\"{}\" y=\"{}\" fill=\"#1b1f24\">{what}</text>",
                x + 20.0,
                y + 12.0
            );
        }
        let (x, y) = (LEFT + 320.0, axis + 30.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{x} {y}l10 10m0 -10l-10 10\" stroke=\"#1b1f24\" stroke-width=\"2.5\"/><text x=\"{}\" y=\"{}\" fill=\"#1b1f24\">is killed</text>\n</svg>",
            x + 18.0,
            y + 10.0
        );
        svg
    }
}
