#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod answers;
mod connection;
mod scripts;

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use piggyback::fleet::{
    Closed, Engine, Fleet, Flight, Joined, Looked, Renewed, Reply, Terms, Token, Wakes,
};
pub use redis;
use tokio::sync::mpsc;

use crate::connection::{Command, Order};
use crate::scripts::{SCRIPTS, Script};

/// A fleet of all processes that say the same name to the same Redis or Valkey.
///
/// Never blocks and never fails: the connection is made in the background, from the first call on. Until it works, calls run
/// their bodies, each process for itself.
///
/// ```
/// use piggyback::fleet::Fleet;
/// use std::sync::LazyLock;
///
/// static FLEET: LazyLock<Fleet> = LazyLock::new(|| {
///     let client = redis::Client::open("redis://127.0.0.1/").expect("an address");
///     piggyback_redis::fleet("orders-prod", client)
/// });
/// ```
pub fn fleet(name: impl Into<String>, client: redis::Client) -> Fleet {
    Fleet::new(name, Redis::new(client))
}

/// The engine: one connection in a thread of its own.
pub struct Redis {
    client: redis::Client,
    inbox: String,
    orders: OnceLock<mpsc::UnboundedSender<Order>>,
}

impl Redis {
    /// An engine that connects as the client says, with RESP3, when it is started.
    pub fn new(client: redis::Client) -> Self {
        Self {
            client,
            inbox: format!("piggyback:i:{}", Token::random()),
            orders: OnceLock::new(),
        }
    }

    /// Sends a script. Without a connection the reply is dropped, which says that there is no answer.
    fn send<T: 'static>(
        &self,
        script: &'static Script,
        keys: Vec<Vec<u8>>,
        arguments: Vec<Vec<u8>>,
        asks: bool,
        reply: Reply<T>,
        read: impl FnOnce(redis::Value) -> Option<T> + Send + 'static,
    ) {
        let Some(orders) = self.orders.get() else {
            return;
        };
        let then = move |value| {
            if let Some(answer) = read(value) {
                reply.answer(answer);
            }
        };
        let _ = orders.send(Order::Command(Command {
            script,
            keys,
            arguments,
            asks,
            then: Box::new(then),
        }));
    }
}

fn millis(time: Duration) -> Vec<u8> {
    // Far beyond any lease, and within what Lua's numbers hold exactly.
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    millis.clamp(1, 1 << 40).to_string().into_bytes()
}

fn text(token: Token) -> Vec<u8> {
    token.to_string().into_bytes()
}

impl Engine for Redis {
    fn start(&self, wakes: Wakes) {
        let (sender, receiver) = mpsc::unbounded_channel();
        if self.orders.set(sender).is_ok() {
            connection::start(self.client.clone(), self.inbox.clone(), wakes, receiver);
        }
    }

    fn join(&self, flight: &Flight, token: Token, terms: Terms, reply: Reply<Joined>) {
        let keys = vec![flight.name().to_vec()];
        let arguments = vec![
            text(token),
            self.inbox.clone().into_bytes(),
            millis(terms.lease),
            millis(terms.max_age),
        ];
        let inbox = self.inbox.clone();
        let read = move |value| answers::joined(&value, token, &inbox);
        self.send(&SCRIPTS.join, keys, arguments, true, reply, read);
    }

    fn look(&self, flight: &Flight, token: Token, max_bytes: usize, reply: Reply<Looked>) {
        let keys = vec![flight.name().to_vec(), flight.result_name(token)];
        let arguments = vec![text(token), max_bytes.to_string().into_bytes()];
        self.send(&SCRIPTS.look, keys, arguments, true, reply, answers::looked);
    }

    fn renew(&self, flight: &Flight, token: Token, lease: Duration, reply: Reply<Renewed>) {
        let keys = vec![flight.name().to_vec()];
        let arguments = vec![text(token), millis(lease)];
        self.send(
            &SCRIPTS.renew,
            keys,
            arguments,
            false,
            reply,
            answers::renewed,
        );
    }

    fn close(&self, flight: &Flight, token: Token, reply: Reply<Closed>) {
        let keys = vec![flight.name().to_vec()];
        self.send(
            &SCRIPTS.close,
            keys,
            vec![text(token)],
            false,
            reply,
            answers::closed,
        );
    }

    fn land(
        &self,
        flight: &Flight,
        token: Token,
        bytes: Vec<u8>,
        keep: Duration,
        reply: Reply<()>,
    ) {
        let keys = vec![flight.name().to_vec(), flight.result_name(token)];
        let arguments = vec![text(token), bytes, millis(keep)];
        self.send(&SCRIPTS.land, keys, arguments, false, reply, answers::done);
    }

    fn forget(&self, flight: &Flight, reply: Reply<()>) {
        let keys = vec![flight.name().to_vec()];
        self.send(
            &SCRIPTS.forget,
            keys,
            Vec::new(),
            false,
            reply,
            answers::done,
        );
    }

    fn suspect(&self) {
        if let Some(orders) = self.orders.get() {
            let _ = orders.send(Order::Check);
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("inbox", &self.inbox)
            .finish_non_exhaustive()
    }
}
