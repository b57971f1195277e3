//! The thread with the connection: it connects, checks the server, executes commands in order, passes wake-ups on, and connects
//! again whenever the connection breaks.
//!
//! Commands that come without a connection are dropped at once, and none is sent twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use piggyback::fleet::{Token, Wakes};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, PushKind, Value};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::scripts::{SCRIPTS, Script};

/// What the thread is asked for.
pub(crate) enum Order {
    Command(Command),
    /// Find out whether the server still answers.
    Check,
}

pub(crate) struct Command {
    pub(crate) script: &'static Script,
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) arguments: Vec<Vec<u8>>,
    /// A last argument says whether the subscribers of an inbox show that its process lives.
    pub(crate) asks: bool,
    pub(crate) then: Box<dyn FnOnce(Value) + Send>,
}

/// How long a connection may take, and a check of the server.
const CONNECTS: Duration = Duration::from_secs(1);
const ANSWERS: Duration = Duration::from_millis(500);
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// A cluster does not stop being one.
const CLUSTER_DELAY: Duration = Duration::from_secs(60);

pub(crate) fn start(
    client: redis::Client,
    inbox: String,
    wakes: Wakes,
    orders: mpsc::UnboundedReceiver<Order>,
) {
    let thread = std::thread::Builder::new().name("piggyback-redis".to_owned());
    // Without a thread, orders are dropped: calls stay local.
    let _ = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let Ok(runtime) = runtime {
            let link = Link {
                client,
                inbox,
                wakes,
            };
            runtime.block_on(link.run(orders));
        }
    });
}

/// Says something to whoever runs the service.
macro_rules! tell {
    ($level:ident, $($message:tt)*) => {{
        #[cfg(feature = "tracing")]
        tracing::$level!($($message)*);
    }};
}

struct Link {
    client: redis::Client,
    inbox: String,
    wakes: Wakes,
}

/// A server that was checked.
struct Checked {
    connection: MultiplexedConnection,
    /// The number of an inbox's subscribers says whether its process lives.
    presence: bool,
    broken: Arc<Notify>,
}

enum Failed {
    /// Not now, for this reason.
    Now(String),
    /// It is a cluster.
    Cluster,
}

impl From<redis::RedisError> for Failed {
    fn from(error: redis::RedisError) -> Self {
        Self::Now(error.to_string())
    }
}

impl Link {
    async fn run(&self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut delay = FIRST_DELAY;
        // Said once each, while the server can't be used. A connection that is lost is always told of.
        let mut told = false;
        let mut told_of_cluster = false;
        loop {
            let connecting = timeout(CONNECTS, self.connect());
            let connected = tokio::select! {
                connected = connecting => connected.unwrap_or_else(|_| Err(Failed::Now("it does not answer".to_owned()))),
                () = refuse(&mut orders) => return,
            };
            let wait = match connected {
                Ok(checked) => {
                    delay = FIRST_DELAY;
                    tell!(
                        info,
                        presence = checked.presence,
                        "calls are shared with other processes"
                    );
                    self.wakes.up();
                    let open = serve(checked, &self.wakes, &mut orders).await;
                    self.wakes.down();
                    if !open {
                        return;
                    }
                    tell!(
                        warn,
                        "the connection is lost: calls are shared within this process only"
                    );
                    told = true;
                    jittered(delay)
                }
                Err(Failed::Cluster) => {
                    if !std::mem::replace(&mut told_of_cluster, true) {
                        tell!(
                            warn,
                            "the server is a cluster, which is not supported: calls are shared within this process only"
                        );
                    }
                    CLUSTER_DELAY
                }
                Err(Failed::Now(_reason)) => {
                    if !std::mem::replace(&mut told, true) {
                        tell!(
                            warn,
                            reason = _reason,
                            "the server can't be used: calls are shared within this process only"
                        );
                    }
                    jittered(delay)
                }
            };
            delay = (delay * 2).min(LONGEST_DELAY);
            tokio::select! {
                () = sleep(wait) => {}
                () = refuse(&mut orders) => return,
            }
        }
    }

    async fn connect(&self) -> Result<Checked, Failed> {
        let info = self.client.get_connection_info().clone();
        let settings = info.redis_settings().clone();
        let client = redis::Client::open(
            info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3)),
        )?;
        let broken = Arc::new(Notify::new());
        let (wakes, notify) = (self.wakes.clone(), broken.clone());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTS))
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| {
                heard(&push, &wakes, &notify);
                Ok::<_, std::convert::Infallible>(())
            });
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        // The greeting again, since the client keeps the server's answer to its own.
        let hello = redis::cmd("HELLO").arg(3).to_owned();
        let about: HashMap<String, Value> = hello.query_async(&mut connection).await?;
        let mode = about.get("mode").map(redis::from_redis_value_ref::<String>);
        if mode.is_some_and(|mode| mode.is_ok_and(|mode| mode == "cluster")) {
            return Err(Failed::Cluster);
        }
        // Before the first JOIN: whoever lands must find somebody who listens.
        connection.subscribe(&self.inbox).await?;
        let all = [
            &SCRIPTS.join,
            &SCRIPTS.look,
            &SCRIPTS.renew,
            &SCRIPTS.close,
            &SCRIPTS.land,
            &SCRIPTS.forget,
        ];
        for script in all {
            // Only saves time later: an unknown script is sent whole.
            let load = redis::cmd("SCRIPT")
                .arg("LOAD")
                .arg(&script.text)
                .to_owned();
            let _ = connection.send_packed_command(&load).await;
        }
        let presence = self.check(&mut connection).await?;
        Ok(Checked {
            connection,
            presence,
            broken,
        })
    }

    /// Whether the server does what it must, and whether it knows who lives.
    async fn check(&self, connection: &mut MultiplexedConnection) -> Result<bool, Failed> {
        let token = Token::random().to_string();
        let keys = [
            format!("piggyback:check:1:{{{token}}}:f"),
            format!("piggyback:check:1:{{{token}}}:r"),
        ];
        let mut run = async |script: &'static Script, keys: &[String], arguments: &[&str]| {
            let keys: Vec<_> = keys.iter().map(|key| key.clone().into_bytes()).collect();
            let arguments: Vec<_> = arguments
                .iter()
                .map(|text| text.as_bytes().to_vec())
                .collect();
            execute(connection, script, &keys, &arguments).await
        };
        let joined = run(
            &SCRIPTS.join,
            &keys[..1],
            &[&token, &self.inbox, "10000", "1000", "0"],
        )
        .await?;
        let parsed = Token::parse(&token)
            .and_then(|token| crate::answers::joined(&joined, token, &self.inbox));
        if parsed != Some(piggyback::fleet::Joined::Leads) {
            return Err(Failed::Now(
                "its answer to a JOIN is not understood".to_owned(),
            ));
        }
        let looked = run(&SCRIPTS.look, &keys, &[&token, "1", "1"]).await;
        let up = looked.map(crate::answers::looked);
        let presence = matches!(up, Ok(Some(piggyback::fleet::Looked::Up { .. })));
        run(&SCRIPTS.land, &keys, &[&token, "", "1"]).await?;
        Ok(presence)
    }
}

/// Executes commands until the connection breaks. Returns whether any more can come.
async fn serve(
    checked: Checked,
    wakes: &Wakes,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> bool {
    let Checked {
        connection,
        presence,
        broken,
    } = checked;
    // Dropped at the end: whatever is unanswered then has no answer.
    let mut running = JoinSet::new();
    let mut checking = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = broken.notified() => return true,
            Some(checked) = checking.join_next() => match checked {
                Ok(true) => wakes.up(),
                _ => return true,
            },
            order = orders.recv() => match order {
                None => return false,
                Some(Order::Check) => {
                    let mut connection = connection.clone();
                    checking.spawn(async move {
                        let ping = redis::cmd("PING").to_owned();
                        let ping = connection.send_packed_command(&ping);
                        matches!(timeout(ANSWERS, ping).await, Ok(Ok(_)))
                    });
                }
                Some(Order::Command(command)) => {
                    let (mut connection, broken) = (connection.clone(), broken.clone());
                    // Tasks of this runtime are polled in the order in which they were spawned, so commands are sent in theirs.
                    running.spawn(async move {
                        let Command { script, keys, mut arguments, asks, then } = command;
                        if asks {
                            arguments.push(if presence { b"1" } else { b"0" }.to_vec());
                        }
                        match execute(&mut connection, script, &keys, &arguments).await {
                            Ok(value) => then(value),
                            // Another server is the primary now, and a new connection may find it.
                            Err(error) if is_read_only(&error) => broken.notify_one(),
                            Err(_) => {}
                        }
                    });
                    while running.try_join_next().is_some() {}
                }
            },
            Some(_) = running.join_next() => {}
        }
    }
}

async fn execute(
    connection: &mut MultiplexedConnection,
    script: &'static Script,
    keys: &[Vec<u8>],
    arguments: &[Vec<u8>],
) -> redis::RedisResult<Value> {
    let command = |name: &str, script: &str| {
        let mut command = redis::cmd(name);
        command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        command
    };
    let known = command("EVALSHA", &script.digest);
    let answer = connection
        .send_packed_command(&known)
        .await
        .and_then(Value::extract_error);
    match answer {
        Err(error) if error.kind() == ErrorKind::Server(redis::ServerErrorKind::NoScript) => {
            let whole = command("EVAL", &script.text);
            connection
                .send_packed_command(&whole)
                .await?
                .extract_error()
        }
        answer => answer,
    }
}

/// Redis 6 says it within the error of the script.
fn is_read_only(error: &redis::RedisError) -> bool {
    error.code() == Some("READONLY") || error.to_string().contains("-READONLY")
}

fn heard(push: &PushInfo, wakes: &Wakes, broken: &Notify) {
    match (&push.kind, &push.data[..]) {
        (PushKind::Disconnection, _) => broken.notify_one(),
        (PushKind::Message, [_, Value::BulkString(message)]) => {
            let Some((kind, token)) = message.split_first() else {
                return;
            };
            let token = std::str::from_utf8(token).ok().and_then(Token::parse);
            match (kind, token) {
                (b'l', Some(token)) => wakes.landed(token),
                (b'f', Some(token)) => wakes.forgotten(token),
                _ => {}
            }
        }
        _ => {}
    }
}

/// Drops all that is ordered. Returns when no more can come.
async fn refuse(orders: &mut mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        drop(order);
    }
}

/// Processes that lost their server together come back one after another.
fn jittered(delay: Duration) -> Duration {
    let part = (Token::random().as_u128() % 1000) as u32;
    delay / 2 + delay * part / 2000
}
