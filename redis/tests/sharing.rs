//! Processes of a fleet on a real server, when nothing fails.

mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use piggyback::fleet::Fleet;
use server::{Server, installed};
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_calls_of_all_processes_share_one_execution() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let fleets = server.fleets::<8>();
    for round in 0..20 {
        let bodies = Arc::new(AtomicU32::new(0));
        let calls = fleets.iter().cloned().enumerate().map(|(n, fleet)| {
            let bodies = bodies.clone();
            tokio::spawn(async move {
                let body = async {
                    bodies.fetch_add(1, SeqCst);
                    sleep(Duration::from_millis(150)).await;
                    n
                };
                fleet.share("f", &round, body).await
            })
        });
        let calls: Vec<_> = calls.collect();
        let mut results = Vec::new();
        for call in calls {
            results.push(call.await.expect("no panic"));
        }
        let bodies = bodies.load(SeqCst);
        if fleets.iter().all(|fleet| fleet.stats().away == 0) {
            assert_eq!(bodies, 1, "round {round}: {results:?}");
        }
    }
    let followed: u64 = fleets.iter().map(|fleet| fleet.stats().followed).sum();
    assert!(followed >= 100, "{followed} of 140");
    server.is_empty_soon();
}

#[tokio::test]
async fn a_lone_call_leaves_nothing_behind_and_sends_two_commands() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let fleet = server.fleet();
    let commands = || {
        let stats: String = redis::from_redis_value(server.run("INFO commandstats")).expect("text");
        let line = stats
            .lines()
            .find(|line| line.starts_with("cmdstat_evalsha:"));
        let calls = line.and_then(|line| line.split(['=', ',']).nth(1));
        calls.map_or(0, |calls| calls.parse::<u64>().expect("a number"))
    };
    let before = commands();
    for n in 0..50 {
        assert_eq!(fleet.share("f", &n, async { n }).await, n);
    }
    let stats = fleet.stats();
    if stats.away == 0 {
        assert_eq!(commands() - before, 100);
        assert!(server.keys().is_empty());
    }
    server.is_empty_soon();
}

#[tokio::test]
async fn a_forget_reaches_all_processes() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let [a, b] = server
        .fleets()
        .map(|fleet| fleet.with_slow(Duration::from_secs(20)));
    let (open, opened) = tokio::sync::oneshot::channel();
    let first = {
        let a = a.clone();
        tokio::spawn(async move {
            a.share("f", &1, async { opened.await.expect("sent") })
                .await
        })
    };
    while a.stats().led == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(b.forget("f", &1).await, Ok(()));
    assert_eq!(b.share("f", &1, async { 2 }).await, 2);
    open.send(1).expect("it waits");
    assert_eq!(first.await.expect("no panic"), 1);
    server.is_empty_soon();
}

#[tokio::test]
async fn two_builds_share_nothing() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let fleets = server
        .fleets::<4>()
        .map(|it| it.with_slow(Duration::from_secs(20)));
    let [a, b, c, d] = &fleets;
    let [c, d] = [c, d].map(|fleet| fleet.with_build("2"));
    let body = |n| async move {
        sleep(Duration::from_millis(300)).await;
        n
    };
    let results = tokio::join!(
        a.share("f", &1, body(1)),
        b.share("f", &1, body(1)),
        c.share("f", &1, body(2)),
        d.share("f", &1, body(2)),
    );
    assert_eq!(results, (1, 1, 2, 2));
    let pairs = [[a, b], [&c, &d]].map(|pair| pair.map(Fleet::stats));
    for [one, other] in pairs {
        assert_eq!((one.led + other.led, one.followed + other.followed), (1, 1));
    }
}

#[tokio::test]
async fn a_fleet_that_is_dropped_closes_its_connection() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let connections = || {
        let list: String = redis::from_redis_value(server.run("CLIENT LIST")).expect("text");
        // The one that asks is among them.
        list.lines().count() - 1
    };
    let fleet = server.fleet();
    assert_eq!(fleet.share("f", &1, async { 1 }).await, 1);
    assert_eq!(connections(), 1);
    drop(fleet);
    server::until("the connection is closed", || connections() == 0);
}

#[tokio::test]
async fn the_rights_that_the_readme_gives_are_enough() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let readme = include_str!("../README.md");
    let begin = readme.find("ACL SETUSER").expect("it says so");
    let rule = &readme[begin..];
    let rule = &rule[..rule.find("```").expect("it ends")];
    let rule: Vec<_> = rule.split_whitespace().collect();
    server.run(&rule.join(" "));
    let address = format!("redis://piggyback:secret@127.0.0.1:{}/", server.port);
    let client = redis::Client::open(address).expect("an address");
    let [a, b] = [(); 2].map(|()| piggyback_redis::fleet("test", client.clone()).with_build("1"));
    server::is_up(&a);
    server::is_up(&b);
    let slow = async {
        sleep(Duration::from_millis(300)).await;
        1
    };
    let second = async {
        while a.stats().led + a.stats().away == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        b.share("f", &1, async { 2 }).await
    };
    let results = tokio::join!(a.share("f", &1, slow), second);
    assert!(
        results == (1, 1) || a.stats().away + b.stats().away > 0,
        "{results:?}"
    );
}
