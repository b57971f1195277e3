//! A server of one test's own.

#![allow(dead_code, unreachable_pub)]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use piggyback::fleet::Fleet;

pub struct Server {
    child: Option<Child>,
    pub port: u16,
    options: Vec<String>,
    /// A file that it writes.
    leaves: Option<std::path::PathBuf>,
}

/// Whether there is a server to be tested with; otherwise says that the test is skipped.
pub fn installed() -> bool {
    let version = Command::new("redis-server").arg("--version").output();
    if version.is_err() {
        eprintln!("skipped: redis-server is not installed");
    }
    version.is_ok()
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl Server {
    pub fn start(options: &[&str]) -> Self {
        let mut server = Self {
            child: None,
            port: free_port(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            leaves: None,
        };
        server.restart();
        server
    }

    /// Starts it on its port, empty.
    pub fn restart(&mut self) {
        self.kill();
        let begin = Instant::now();
        loop {
            let mut child = Command::new("redis-server")
                .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no", "--dir"])
                .arg(std::env::temp_dir())
                .args(&self.options)
                .stdout(Stdio::null())
                .spawn()
                .expect("it starts");
            while child.try_wait().expect("a child").is_none() {
                if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                    self.child = Some(child);
                    return;
                }
                assert!(begin.elapsed() < Duration::from_secs(30), "it listens");
                std::thread::sleep(Duration::from_millis(5));
            }
            // Somebody else took the port.
            assert!(begin.elapsed() < Duration::from_secs(30), "a port is free");
            if self.child.is_none() {
                self.port = free_port();
            }
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// `STOP` or `CONT`.
    pub fn signal(&self, signal: &str) {
        signal_to(self.child.as_ref().expect("it runs").id(), signal);
    }

    pub fn client(&self) -> redis::Client {
        client(self.port)
    }

    /// A process of the fleet, once it is up.
    pub fn fleet(&self) -> Fleet {
        let fleet = piggyback_redis::fleet("test", self.client()).with_build("1");
        is_up(&fleet);
        fleet
    }

    pub fn fleets<const N: usize>(&self) -> [Fleet; N] {
        std::array::from_fn(|_| self.fleet())
    }

    /// One command on a connection of its own.
    pub fn run(&self, command: &str) -> redis::Value {
        let mut connection = self.client().get_connection().expect("it answers");
        let mut words = command.split(' ');
        let mut command = redis::cmd(words.next().expect("a command"));
        words.for_each(|word| {
            command.arg(word);
        });
        command.query(&mut connection).expect("a good command")
    }

    pub fn keys(&self) -> Vec<String> {
        let keys: Vec<Vec<u8>> = redis::from_redis_value(self.run("KEYS *")).expect("a list");
        let keys = keys.iter().map(|key| String::from_utf8_lossy(key));
        keys.map(|key| key.into_owned()).collect()
    }

    pub fn is_empty_soon(&self) {
        until("no key is left", || self.keys().is_empty());
    }
}

/// A server that is a node of a cluster.
pub fn cluster() -> Server {
    let nodes = format!(
        "piggyback-nodes-{}-{}.conf",
        std::process::id(),
        free_port()
    );
    let mut server = Server::start(&["--cluster-enabled", "yes", "--cluster-config-file", &nodes]);
    server.leaves = Some(std::env::temp_dir().join(nodes));
    server
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.signal("CONT");
        }
        self.kill();
        if let Some(file) = &self.leaves {
            let _ = std::fs::remove_file(file);
        }
    }
}

pub fn client(port: u16) -> redis::Client {
    redis::Client::open(format!("redis://127.0.0.1:{port}/")).expect("an address")
}

pub fn is_up(fleet: &Fleet) {
    until("the fleet is up", || fleet.is_up());
}

pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn signal_to(process: u32, signal: &str) {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &process.to_string()])
        .status();
    assert!(status.expect("kill runs").success());
}
