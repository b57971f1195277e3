//! One process of a round. It reads commands, a line each, and says what happens.
//!
//! `round KEY MILLIS`: 64 calls at once. `alone COUNT`: so many calls, one after another, with a body that does nothing.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use piggyback::dedup;
use piggyback::fleet::Fleet;
use tokio::sync::OnceCell;
use tokio::time::sleep;

pub const CALLERS: usize = 64;

pub fn client() -> redis::Client {
    redis::Client::open(address()).expect("an address")
}

pub fn address() -> String {
    let port = std::env::var("FLEET_PORT").expect("the parent says it");
    format!("redis://127.0.0.1:{port}/")
}

pub fn micros() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock that is set").as_micros()
}

/// The body. Alone, it does nothing, so that what is around it is seen.
pub async fn expensive(key: u64, time: Duration) -> u64 {
    if time.is_zero() {
        return key;
    }
    println!("begin {key} {}", micros());
    sleep(time).await;
    println!("end {key} {}", micros());
    key
}

type Outcome = Result<u64, String>;

async fn call(mode: &str, key: u64, time: Duration) -> Outcome {
    match mode {
        "plain" => Ok(expensive(key, time).await),
        "dedup" => Ok(local(key, time).await),
        "hand" => by_hand(key, time).await,
        "cachekit" => cachekit(key, time).await.map_err(|error| error.to_string()),
        "amalgam" => amalgam(key, time).await,
        "fleet" => Ok(across(key, time).await),
        other => unreachable!("{other}"),
    }
}

#[dedup(spawn, skip(time))]
async fn local(key: u64, time: Duration) -> u64 {
    expensive(key, time).await
}

static FLEET: LazyLock<Fleet> = LazyLock::new(|| piggyback_redis::fleet("figures", client()));

#[dedup(across = FLEET, spawn, skip(time))]
async fn across(key: u64, time: Duration) -> u64 {
    expensive(key, time).await
}

/// What is written where there is no library: a lock, and a look every 50 ms.
#[dedup(spawn, skip(time))]
async fn by_hand(key: u64, time: Duration) -> Outcome {
    by_lock(key, time).await.map_err(|error| error.to_string())
}

async fn by_lock(key: u64, time: Duration) -> redis::RedisResult<u64> {
    static CONNECTION: OnceCell<redis::aio::MultiplexedConnection> = OnceCell::const_new();
    let connect = async || client().get_multiplexed_async_connection().await;
    let mut connection = CONNECTION.get_or_try_init(connect).await?.clone();
    let (lock, result) = (format!("lock:{key}"), format!("result:{key}"));
    loop {
        let get = redis::cmd("GET").arg(&result).to_owned();
        if let Some(value) = get.query_async(&mut connection).await? {
            return Ok(value);
        }
        let mut set = redis::cmd("SET");
        set.arg(&lock).arg(1).arg("NX").arg("PX").arg(3000);
        let locked: Option<String> = set.query_async(&mut connection).await?;
        if locked.is_some() {
            let value = expensive(key, time).await;
            let mut set = redis::cmd("SET");
            set.arg(&result).arg(value).arg("PX").arg(250);
            let () = set.query_async(&mut connection).await?;
            let delete = redis::cmd("DEL").arg(&lock).to_owned();
            let () = delete.query_async(&mut connection).await?;
            return Ok(value);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// How long the caches keep a result: longer than their slowest callers wait for it. Each round has a key of its own.
const TTL: Duration = Duration::from_secs(10);

/// As the documentation of its `single_flight` says.
async fn cachekit(key: u64, time: Duration) -> Result<u64, cachekit::CachekitError> {
    static CACHE: OnceCell<cachekit::CacheKit> = OnceCell::const_new();
    let connect = async || {
        let cache = cachekit::CacheKit::production(&address()).await?;
        cache.namespace("figures").build()
    };
    let cache = CACHE.get_or_try_init(connect).await?;
    let name = key.to_string();
    if let Some(value) = cache.get(&name).await? {
        return Ok(value);
    }
    let mut flight = cache.single_flight(&name).await;
    while flight.wait_for_fill().await {
        if let Some(value) = cache.get(&name).await? {
            flight.release().await;
            return Ok(value);
        }
    }
    let value = expensive(key, time).await;
    cache.set_with_ttl(&name, &value, TTL).await?;
    flight.release().await;
    Ok(value)
}

/// As its example for Redis does, with a lock across processes. Without `#[dedup]`, its callers in one process take that lock in turn.
#[dedup(spawn, skip(time))]
async fn amalgam(key: u64, time: Duration) -> Outcome {
    use amalgam::provider::{
        DistributedCache, DistributedLocker, DistributedSerializer, JsonSerializer,
        RedisDistributedCache, RedisDistributedLocker,
    };
    use amalgam::{Cache, EntryOptions};
    use std::sync::Arc;
    static CACHE: OnceCell<Cache<u64>> = OnceCell::const_new();
    let connect = async || {
        let connected = RedisDistributedCache::connect(address()).await;
        let second_level: Arc<dyn DistributedCache> =
            Arc::new(connected.map_err(|error| error.to_string())?);
        let connected = RedisDistributedLocker::connect(address()).await;
        let locker: Arc<dyn DistributedLocker> =
            Arc::new(connected.map_err(|error| error.to_string())?);
        let serializer: Arc<dyn DistributedSerializer<u64>> = Arc::new(JsonSerializer);
        let cache = Cache::builder()
            .distributed(second_level)
            .serializer(serializer)
            .distributed_locker(locker)
            .default_options(EntryOptions::default().with_duration(TTL))
            .try_build();
        cache.map_err(|error| error.to_string())
    };
    let cache = CACHE.get_or_try_init(connect).await?;
    let source = amalgam::source::factory(move |context| async move {
        let value = expensive(key, time).await;
        Ok::<_, amalgam::FactoryError>(context.value(value))
    });
    let value = cache.get_or_set(key.to_string(), source).await;
    value.map_err(|error| error.to_string())
}

pub fn run(mode: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(serve(mode));
}

async fn serve(mode: &str) {
    let begin = Instant::now();
    while mode == "fleet" && !FLEET.is_up() && begin.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(5)).await;
    }
    // Connections are made, and everything has been allocated once.
    let _ = call(mode, u64::MAX, Duration::ZERO).await;
    println!("ready");
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    // Each alone call has a key of its own, which no cache knows.
    let mut lone = 1 << 40;
    while let Some(line) = lines.recv().await {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |n: usize| -> u64 { words[n].parse().expect("a number") };
        match words[0] {
            "round" => {
                let (key, time) = (number(1), Duration::from_millis(number(2)));
                let mode = mode.to_owned();
                tokio::spawn(async move { round(&mode, key, time).await });
            }
            "alone" => {
                let mut times = Vec::new();
                for _ in 0..number(1) {
                    lone += 1;
                    let begin = Instant::now();
                    call(mode, lone, Duration::ZERO).await.expect("it is alone");
                    times.push(begin.elapsed().as_nanos());
                }
                times.sort_unstable();
                println!("alone 0 {}", times[times.len() / 2]);
            }
            other => unreachable!("{other}"),
        }
    }
}

async fn round(mode: &str, key: u64, time: Duration) {
    let calls: Vec<_> = (0..CALLERS)
        .map(|_| {
            let mode = mode.to_owned();
            tokio::spawn(async move { call(&mode, key, time).await })
        })
        .collect();
    for call in calls {
        match call.await.expect("no panic") {
            Ok(value) => assert_eq!(value, key),
            Err(error) => {
                eprintln!("{mode}: {error}");
                println!("error {key} {}", micros());
            }
        }
    }
    println!("returned {key} {}", micros());
}
