//! What the engine says with the feature `tracing`: one warning when calls stop being shared, and one message when they are again.
#![cfg(feature = "tracing")]

mod server;

use std::sync::Mutex;

use piggyback::fleet::Fleet;
use server::{Server, client, free_port, installed, until};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Collects the messages of the engine, which come from a thread of its own.
struct Collects;

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Collects {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("piggyback_redis")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let level = event.metadata().level();
        let line = format!("{level} {}", message.0);
        TOLD.lock().expect("no panic").push(line);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn told() -> Vec<String> {
    std::mem::take(&mut *TOLD.lock().expect("no panic"))
}

/// What is said while this becomes true, and a little later.
fn told_until(what: &str, is: impl FnMut() -> bool) -> Vec<String> {
    until(what, is);
    std::thread::sleep(std::time::Duration::from_millis(300));
    told()
}

fn fleet(port: u16) -> Fleet {
    piggyback_redis::fleet("test", client(port)).with_build("1")
}

// One test: there is one subscriber for all threads.
#[test]
fn each_change_is_said_once() {
    if !installed() {
        return;
    }
    tracing::subscriber::set_global_default(Collects).expect("it is the first");
    let anything = || !TOLD.lock().expect("no panic").is_empty();
    let local = "calls are shared within this process only";

    let nobody = fleet(free_port());
    assert!(!nobody.is_up());
    let said = told_until("it says so", anything);
    assert_eq!(said, [format!("WARN the server can't be used: {local}")]);
    drop(nobody);

    let mut server = Server::start(&[]);
    let one = fleet(server.port);
    let said = told_until("it is up", || one.is_up());
    assert_eq!(said, ["INFO calls are shared with other processes"]);
    server.kill();
    let said = told_until("it is away", || !one.is_up());
    assert_eq!(said, [format!("WARN the connection is lost: {local}")]);
    server.restart();
    let said = told_until("it is up again", || one.is_up());
    assert_eq!(said, ["INFO calls are shared with other processes"]);
    drop((one, server));

    let cluster = server::cluster();
    let of_cluster = fleet(cluster.port);
    assert!(!of_cluster.is_up());
    let said = told_until("it says so", anything);
    assert_eq!(
        said,
        [format!(
            "WARN the server is a cluster, which is not supported: {local}"
        )]
    );
    assert!(!of_cluster.is_up());
}
