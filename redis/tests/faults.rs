//! What fails in production, on a real server. Whatever it is, no call fails, hangs, or leaves anything behind for good.

mod server;

use std::future::Future;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use piggyback::fleet::Fleet;
use server::{Server, client, installed, is_up, signal_to};
use tokio::time::sleep;

async fn soon(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn after<T>(millis: u64, value: T) -> T {
    sleep(Duration::from_millis(millis)).await;
    value
}

/// Calls from all fleets, on a few keys, until `end` is set. Returns how many there were.
fn load(fleets: &[Fleet], end: &Arc<AtomicBool>) -> tokio::task::JoinSet<u64> {
    let mut tasks = tokio::task::JoinSet::new();
    for (n, fleet) in fleets.iter().cloned().enumerate() {
        for task in 0..4_u64 {
            let (fleet, end) = (fleet.clone(), end.clone());
            tasks.spawn(async move {
                let mut calls = 0;
                while !end.load(SeqCst) {
                    let key = (calls + task) % 3;
                    let result = fleet.share(&format!("f{task}"), &key, after(20, key)).await;
                    assert_eq!(result, key, "process {n}");
                    calls += 1;
                }
                calls
            });
        }
    }
    tasks
}

/// Lets a fault happen under load. No call fails; then the fleets share again, and nothing is left.
async fn survives(server: &mut Server, fault: impl AsyncFnOnce(&mut Server)) {
    let fleets = server.fleets::<3>().into();
    survive(fleets, server, fault).await;
}

async fn survive(fleets: Vec<Fleet>, server: &mut Server, fault: impl AsyncFnOnce(&mut Server)) {
    let end = Arc::new(AtomicBool::new(false));
    let tasks = load(&fleets, &end);
    sleep(Duration::from_millis(200)).await;
    fault(server).await;
    soon("all are back", || fleets.iter().all(Fleet::is_up)).await;
    let before: u64 = fleets.iter().map(|fleet| fleet.stats().followed).sum();
    let shares = || {
        fleets
            .iter()
            .map(|fleet| fleet.stats().followed)
            .sum::<u64>()
            > before
    };
    soon("they share again", shares).await;
    end.store(true, SeqCst);
    let calls = tasks.join_all().await;
    assert!(calls.iter().all(|&calls| calls > 0), "{calls:?}");
    // A lease at the longest.
    soon("nothing is left", || server.keys().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_comes_back_fails_no_call() {
    if !installed() {
        return;
    }
    survives(&mut Server::start(&[]), async |server| {
        server.kill();
        sleep(Duration::from_millis(500)).await;
        server.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_fails_no_call_and_soon_delays_none() {
    if !installed() {
        return;
    }
    survives(&mut Server::start(&[]), async |server| {
        let fleet = server.fleet();
        server.signal("STOP");
        let mut slow = 0;
        for n in 0..20 {
            let begin = Instant::now();
            assert_eq!(fleet.share("other", &n, async { n }).await, n);
            slow += u32::from(begin.elapsed() > Duration::from_millis(50));
        }
        assert!(
            slow <= 4,
            "{slow} of 20 calls waited for it: {}",
            fleet.stats()
        );
        assert!(fleet.stats().away >= 18);
        server.signal("CONT");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_keys_lost_scripts_and_lost_connections_fail_no_call() {
    if !installed() {
        return;
    }
    survives(&mut Server::start(&[]), async |server| {
        for command in [
            "FLUSHALL",
            "SCRIPT FLUSH",
            "CLIENT KILL TYPE normal",
            "CLIENT KILL TYPE pubsub",
        ] {
            server.run(command);
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_memory_fails_no_call() {
    if !installed() {
        return;
    }
    for policy in ["noeviction", "allkeys-random"] {
        survives(&mut Server::start(&[]), async |server| {
            server.run(&format!("CONFIG SET maxmemory-policy {policy}"));
            server.run("CONFIG SET maxmemory 1");
            sleep(Duration::from_millis(300)).await;
            server.run("CONFIG SET maxmemory 0");
        })
        .await;
    }
}

#[tokio::test]
async fn without_a_server_calls_run_at_once_and_share_when_there_is_one() {
    if !installed() {
        return;
    }
    let port = server::free_port();
    let fleet = piggyback_redis::fleet("test", client(port)).with_build("1");
    for n in 0..100 {
        let begin = Instant::now();
        assert_eq!(fleet.share("f", &n, async { n }).await, n);
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
    assert_eq!((fleet.stats().away, fleet.stats().led), (100, 0));
}

#[tokio::test]
async fn in_a_cluster_calls_stay_local() {
    if !installed() {
        return;
    }
    let server = server::cluster();
    let fleet = piggyback_redis::fleet("test", server.client()).with_build("1");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(500) {
        assert_eq!(fleet.share("f", &1, after(0, 1)).await, 1);
        assert!(!fleet.is_up());
    }
    assert_eq!(fleet.stats().led, 0);
}

/// The leader in a process of its own: this test, started again.
#[tokio::test]
async fn in_a_process_of_its_own() {
    let Ok(port) = std::env::var("PIGGYBACK_TEST_PORT") else {
        return;
    };
    let port = port.parse().expect("a port");
    let fleet = piggyback_redis::fleet("test", client(port)).with_build("1");
    is_up(&fleet);
    fleet.share("f", &1, after(3_600_000, 0)).await;
}

struct Process(Child);

impl Process {
    fn start(server: &Server) -> Self {
        let program = std::env::current_exe().expect("the test's own");
        let child = Command::new(program)
            .args(["--exact", "in_a_process_of_its_own"])
            .env("PIGGYBACK_TEST_PORT", server.port.to_string())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two processes wait for a leader elsewhere, to which something is done. Returns how long it takes until they have a result,
/// and how many bodies ran for that.
async fn after_a_leader(end: impl FnOnce(&mut Process)) -> (Duration, u32) {
    let server = Server::start(&[]);
    let mut leader = Process::start(&server);
    soon("it leads", || {
        server.keys().iter().any(|key| key.contains(":f:"))
    })
    .await;
    let bodies = Arc::new(AtomicU32::new(0));
    let calls: Vec<_> = server
        .fleets::<2>()
        .into_iter()
        .map(|fleet| {
            let fleet = fleet.with_patience(Duration::from_secs(60));
            let bodies = bodies.clone();
            tokio::spawn(async move {
                let body = async {
                    bodies.fetch_add(1, SeqCst);
                    after(300, 7).await
                };
                fleet.share("f", &1, body).await
            })
        })
        .collect();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(bodies.load(SeqCst), 0, "they wait for the other process");
    let begin = Instant::now();
    end(&mut leader);
    for call in calls {
        assert_eq!(call.await.expect("no panic"), 7);
    }
    (begin.elapsed(), bodies.load(SeqCst))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_taken_over_by_one_before_its_lease_is_over() {
    if !installed() {
        return;
    }
    let (time, bodies) = after_a_leader(|leader| leader.0.kill().expect("it runs")).await;
    assert_eq!(bodies, 1);
    // 0.2 s for the look, 0.3 s for the body: the server knows that the process is gone. A lease would be 3 s.
    assert!(time < Duration::from_millis(2_500), "{time:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_is_taken_over_by_one_when_its_lease_is_over() {
    if !installed() {
        return;
    }
    let (time, bodies) = after_a_leader(|leader| signal_to(leader.0.id(), "STOP")).await;
    assert_eq!(bodies, 1);
    assert!(
        time > Duration::from_millis(1_500),
        "{time:?}: a lease is renewed every second"
    );
    assert!(time < Duration::from_secs(20), "{time:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_somebody_else_wrote_are_refused() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let [a, b] = server
        .fleets()
        .map(|fleet| fleet.with_keep(Duration::from_secs(10)));
    let deep = [vec![b'V'], vec![0x91; 100_000], vec![0x90]].concat();
    let poisons = [
        b"".to_vec(),
        b"V".to_vec(),
        b"garbage".to_vec(),
        deep,
        vec![b'V'; 300_000],
        // A number, a text that is cut off, one that claims four gigabytes, and more than a text.
        b"V\x07".to_vec(),
        b"V\xa4rea".to_vec(),
        b"V\xdb\xff\xff\xff\xffreal".to_vec(),
        b"V\xa4realreal".to_vec(),
    ];
    for (n, poison) in poisons.into_iter().enumerate() {
        let first = {
            let a = a.clone();
            tokio::spawn(async move { a.share("f", &n, after(400, "real".to_owned())).await })
        };
        soon("it leads", || {
            server.keys().iter().any(|key| key.contains(":f:"))
        })
        .await;
        let second = {
            let b = b.clone();
            tokio::spawn(async move { b.share("f", &n, after(0, "own".to_owned())).await })
        };
        // As if it had landed with this: LOOK believes the result's key.
        let flight = server
            .keys()
            .into_iter()
            .find(|key| key.contains(":f:"))
            .expect("up");
        let mut connection = server.client().get_connection().expect("it answers");
        let token: String = redis::cmd("HGET")
            .arg(&flight)
            .arg("c")
            .query(&mut connection)
            .expect("up");
        let tag = &flight[..=flight.find('}').expect("a tag")];
        let result = format!("{tag}:r:{token}");
        let () = redis::cmd("SET")
            .arg(&result)
            .arg(&poison)
            .arg("PX")
            .arg(600)
            .query(&mut connection)
            .expect("written");
        let second = second.await.expect("no panic");
        // An empty string is no result: it waits for the real one.
        let expected = if poison.is_empty() { "real" } else { "own" };
        assert!(second == expected || b.stats().away > 0, "{n}: {second}");
        assert_eq!(first.await.expect("no panic"), "real");
        server.run("FLUSHALL");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_another_type_fail_no_call() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let [a, b] = server.fleets();
    for (n, part) in [(0, "flight"), (1, "result")] {
        let first = {
            let a = a.clone();
            tokio::spawn(async move { a.share("f", &n, after(1_000, 1)).await })
        };
        let is_flight = |key: &String| key.contains(":f:");
        soon("it leads", || server.keys().iter().any(is_flight)).await;
        let flight = server.keys().into_iter().find(is_flight).expect("up");
        let second = {
            let b = b.clone();
            tokio::spawn(async move { b.share("f", &n, after(0, 2)).await })
        };
        sleep(Duration::from_millis(100)).await;
        let token: String =
            redis::from_redis_value(server.run(&format!("HGET {flight} c"))).expect("up");
        if part == "flight" {
            server.run(&format!("SET {flight} text"));
        } else {
            let tag = &flight[..=flight.find('}').expect("a tag")];
            server.run(&format!("RPUSH {tag}:r:{token} V"));
        }
        assert_eq!(second.await.expect("no panic"), 2);
        // The real result, if it lands over that list in the meantime.
        assert!([1, 3].contains(&b.share("f", &n, after(0, 3)).await));
        assert_eq!(first.await.expect("no panic"), 1);
        server.run("FLUSHALL");
        assert_eq!(b.share("f", &n, after(0, 4)).await, 4);
    }
}

/// A proxy in front of a server, which can be told to pass nothing on, to be slow, to cut, or to lead elsewhere.
struct Proxy {
    port: u16,
    to: Arc<AtomicU16>,
    held: Arc<AtomicBool>,
    /// Milliseconds, in each direction.
    slow: Arc<AtomicU64>,
    cuts: Arc<tokio::sync::Notify>,
}

impl Proxy {
    async fn start(to: u16) -> Self {
        let to = Arc::new(AtomicU16::new(to));
        let slow = Arc::new(AtomicU64::new(0));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (held, cuts) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(tokio::sync::Notify::new()),
        );
        let proxy = Self {
            port,
            to,
            held,
            slow,
            cuts,
        };
        let (to, cut) = (proxy.to.clone(), proxy.cuts.clone());
        let (hold, slow) = (proxy.held.clone(), proxy.slow.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let address = ("127.0.0.1", to.load(SeqCst));
                let Ok(far) = tokio::net::TcpStream::connect(address).await else {
                    continue;
                };
                let (hold, slow, cut) = (hold.clone(), slow.clone(), cut.clone());
                tokio::spawn(async move {
                    let (near_read, near_write) = near.into_split();
                    let (far_read, far_write) = far.into_split();
                    tokio::select! {
                        () = pass(near_read, far_write, &hold, &slow) => {}
                        () = pass(far_read, near_write, &hold, &slow) => {}
                        () = cut.notified() => {}
                    }
                });
            }
        });
        proxy
    }

    fn fleet(&self) -> Fleet {
        piggyback_redis::fleet("test", client(self.port)).with_build("1")
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    hold: &AtomicBool,
    slow: &AtomicU64,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        sleep(Duration::from_millis(slow.load(SeqCst))).await;
        while hold.load(SeqCst) {
            sleep(Duration::from_millis(2)).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// A leader behind a link that fails, and a follower on a good one.
async fn behind_a_link<F: Future>(fails: impl FnOnce(Arc<Proxy>) -> F) {
    let server = Server::start(&[]);
    let proxy = Arc::new(Proxy::start(server.port).await);
    let near = proxy.fleet();
    let far = server.fleet().with_patience(Duration::from_secs(60));
    soon("it is up", || near.is_up()).await;
    let first = {
        let near = near.clone();
        tokio::spawn(async move { near.share("f", &1, after(600, 1)).await })
    };
    soon("it leads", || near.stats().led == 1).await;
    let second = {
        let far = far.clone();
        tokio::spawn(async move { far.share("f", &1, after(600, 2)).await })
    };
    sleep(Duration::from_millis(100)).await;
    fails(proxy.clone()).await;
    assert_eq!(first.await.expect("no panic"), 1);
    assert!([1, 2].contains(&second.await.expect("no panic")));
    proxy.held.store(false, SeqCst);
    proxy.slow.store(0, SeqCst);
    soon("it is back", || near.is_up()).await;
    soon("nothing is left", || server.keys().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_fails_no_call() {
    if installed() {
        behind_a_link(async |proxy| proxy.cuts.notify_waiters()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_goes_silent_fails_no_call() {
    if installed() {
        behind_a_link(async |proxy| proxy.held.store(true, SeqCst)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_becomes_too_slow_fails_no_call() {
    if installed() {
        behind_a_link(async |proxy| proxy.slow.store(300, SeqCst)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_slow_link_calls_share() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    proxy.slow.store(20, SeqCst);
    let fleets = [(); 3].map(|()| proxy.fleet().with_slow(Duration::from_secs(20)));
    for fleet in &fleets {
        soon("it is up", || fleet.is_up()).await;
    }
    let bodies = Arc::new(AtomicU32::new(0));
    let calls = fleets.clone().map(|fleet| {
        let bodies = bodies.clone();
        tokio::spawn(async move {
            let body = async {
                bodies.fetch_add(1, SeqCst);
                after(500, 1).await
            };
            fleet.share("f", &1, body).await
        })
    });
    for call in calls {
        assert_eq!(call.await.expect("no panic"), 1);
    }
    assert_eq!(bodies.load(SeqCst), 1);
    soon("nothing is left", || server.keys().is_empty()).await;
}

/// A primary behind a proxy, and its replica, which becomes the primary.
async fn fails_over(demote: impl AsyncFnOnce(&mut Server, u16)) {
    let mut primary = Server::start(&["--repl-diskless-sync-delay", "0"]);
    let port = primary.port.to_string();
    let load = ["--repl-diskless-load", "on-empty-db"];
    let mut replica = Server::start(&[&["--replicaof", "127.0.0.1", &port][..], &load].concat());
    let linked = || {
        let info: String = redis::from_redis_value(replica.run("INFO replication")).expect("text");
        info.contains("master_link_status:up")
    };
    soon("the replica has all", linked).await;
    let proxy = Proxy::start(primary.port).await;
    let fleets = vec![proxy.fleet(), proxy.fleet(), proxy.fleet()];
    for fleet in &fleets {
        soon("it is up", || fleet.is_up()).await;
    }
    survive(fleets, &mut replica, async |replica| {
        replica.run("REPLICAOF NO ONE");
        proxy.to.store(replica.port, SeqCst);
        demote(&mut primary, replica.port).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_promoted_after_a_crash_fails_no_call() {
    if installed() {
        fails_over(async |primary, _| {
            primary.kill();
            sleep(Duration::from_millis(300)).await;
        })
        .await;
    }
}

/// The connections to it stay open: only what it answers says that it is no longer the primary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_becomes_a_replica_is_left() {
    if installed() {
        fails_over(async |primary, replica| {
            primary.run(&format!("REPLICAOF 127.0.0.1 {replica}"));
            let clients = || -> String {
                redis::from_redis_value(primary.run("CLIENT LIST TYPE pubsub")).expect("text")
            };
            soon("all have left it", || clients().trim().is_empty()).await;
        })
        .await;
    }
}

/// How many commands the server has executed for fleets.
fn commands(server: &Server) -> u64 {
    let stats: String = redis::from_redis_value(server.run("INFO commandstats")).expect("text");
    let line = stats
        .lines()
        .find(|line| line.starts_with("cmdstat_evalsha:"));
    let calls = line.and_then(|line| line.split(['=', ',']).nth(1));
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

/// What a call does when it is dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Dropped {
    Asking,
    Leading,
    Following,
}

/// Has 10,000 calls dropped, 100 at a time. Four seconds after the last answer, nothing is left of them.
async fn drops(when: Dropped) {
    let server = Server::start(&[]);
    let [a, b] = server.fleets().map(|fleet| {
        fleet
            .with_slow(Duration::from_secs(20))
            .with_patience(Duration::from_secs(60))
    });
    let leader = {
        let a = a.clone();
        tokio::spawn(async move { a.share("f", &0_u64, after(3_600_000, 0)).await })
    };
    soon("it leads", || a.stats().led == 1).await;
    let begun = Arc::new(AtomicU32::new(0));
    for round in 0..100 {
        begun.store(0, SeqCst);
        let before = commands(&server);
        let call = |n| {
            let begun = begun.clone();
            let body = async move {
                begun.fetch_add(1, SeqCst);
                after(3_600_000, 0).await
            };
            let key = if when == Dropped::Following { 0 } else { n };
            Box::pin(b.share("f", &key, body))
        };
        let mut calls: Vec<_> = (1..=100).map(|n| call(round * 100 + n)).collect();
        let mut poll = || {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            for call in &mut calls {
                assert!(call.as_mut().poll(&mut cx).is_pending());
            }
        };
        poll();
        match when {
            Dropped::Asking => {}
            Dropped::Leading => {
                soon("all lead", || {
                    poll();
                    begun.load(SeqCst) == 100
                })
                .await;
            }
            Dropped::Following => {
                soon("all are answered", || commands(&server) >= before + 100).await;
                sleep(Duration::from_millis(2)).await;
                poll();
                assert_eq!(begun.load(SeqCst), 0);
            }
        }
    }
    leader.abort();
    // What they have asked for is answered first, however long it takes.
    let mut before = 0;
    while commands(&server) != before {
        before = commands(&server);
        sleep(Duration::from_millis(500)).await;
    }
    let begin = Instant::now();
    while !server.keys().is_empty() && begin.elapsed() < Duration::from_secs(4) {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.keys(), [""; 0]);
    assert_eq!(b.share("f", &0_u64, after(0, 7)).await, 7, "it works on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_that_are_dropped_while_they_ask_leave_nothing() {
    if installed() {
        drops(Dropped::Asking).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_that_are_dropped_while_they_lead_leave_nothing() {
    if installed() {
        drops(Dropped::Leading).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_that_are_dropped_while_they_follow_leave_nothing() {
    if installed() {
        drops(Dropped::Following).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_dropped_at_any_time_leave_nothing_behind() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let fleets = server.fleets::<3>();
    let mut tasks = tokio::task::JoinSet::new();
    for (n, fleet) in fleets.iter().cloned().enumerate() {
        tasks.spawn(async move {
            for round in 0..2_000_u64 {
                // From before the first answer to after the end.
                let micros = (round * 7919 + n as u64 * 104_729) % 3_000;
                let body = after(1, round);
                let call = fleet.share("f", &(round % 2), body);
                let _ = tokio::time::timeout(Duration::from_micros(micros), call).await;
            }
        });
    }
    tasks.join_all().await;
    soon("nothing is left", || server.keys().is_empty()).await;
}
