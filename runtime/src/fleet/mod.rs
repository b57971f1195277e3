#![doc = include_str!("../../docs/fleet.md")]

// A call goes through these files in this order: `Fleet` names the flight, `call` is the future around the body, `machine` its
// states, `engine` what the store is asked, `mailbox` where answers are left, `hub` what all calls of an engine share, `codec` and
// `payload` how values travel. `store` is the model of a store, and `memory` the engine made of it.

mod attribute;
mod build;
mod call;
mod codec;
mod engine;
mod forgotten;
mod hub;
mod machine;
mod mailbox;
mod memory;
mod payload;
mod seen;
mod stats;
mod store;
#[cfg(test)]
mod tests;
mod timer;
mod token;
mod wakes;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

#[doc(hidden)]
pub use self::attribute::{
    ErrTravels, OfCall, ReadErrOf, ReadOf, Travels, Trip, WriteErrOf, WriteOf, fleet, forget,
};
pub(crate) use self::attribute::{Local, OfFunction};
pub use self::call::Across;
pub(crate) use self::call::Around;
use self::call::{Settings, Start, Unnamed};
pub use self::engine::{
    Closed, Engine, Flight, Joined, Looked, Renewed, Reply, Terms, Token, Unanswered,
};
pub use self::forgotten::Forgotten;
use self::hub::Hub;
pub use self::memory::Memory;
#[doc(hidden)]
pub use self::payload::{Encoded, Payload};
pub use self::payload::{Success, Whole};
pub use self::stats::FleetStats;
pub(crate) use self::stats::Outcome;
pub use self::wakes::{Heard, Listening, Wakes};

/// Longer keys are not shared.
const MAX_KEY: usize = 1024;

/// Processes that share executions, as this process sees them. See the [module](self).
///
/// Clones are cheap, share the connection and the counts, and may have settings of their own:
///
/// ```
/// # use piggyback::fleet::{Fleet, Memory};
/// # use std::time::{Duration, Instant};
/// # let engine = Memory::new();
/// let fleet = Fleet::new("orders-prod", engine);
/// let for_reports = fleet.with_patience(Duration::from_secs(60));
/// ```
#[derive(Clone)]
pub struct Fleet(Option<Inner>);

#[derive(Clone)]
struct Inner {
    hub: Arc<Hub>,
    name: Arc<str>,
    build: Option<Arc<str>>,
    settings: Settings,
}

impl Fleet {
    /// A fleet of all processes that say the same name to the same store. The name says the service *and* the environment.
    ///
    /// The engine connects in the background when the first call is made.
    pub fn new(name: impl Into<String>, engine: impl Engine) -> Self {
        let name: Arc<str> = name.into().into();
        Self(Some(Inner {
            hub: Hub::new(&name, Box::new(engine)),
            name,
            build: None,
            settings: Settings {
                lease: Duration::from_secs(3),
                patience: Duration::from_secs(5),
                slow: Duration::from_millis(100),
                keep: Duration::from_millis(250),
                max_value: 256 * 1024,
                max_age: Duration::MAX,
            },
        }))
    }

    /// A fleet of this process alone: every call runs its body. For tests and for local development.
    pub const fn local() -> Self {
        Self(None)
    }

    /// Says which programs may share results. By default a hash of the executable file: during a deployment, old and new
    /// processes then form two groups, and neither can read a value that the other wrote.
    ///
    /// Say a version yourself if equal programs differ as files, as they do for several architectures, and then change it
    /// whenever a shared type *or the code that makes its values* changes. If the executable file can't be read, calls stay local
    /// without a build that is said.
    #[must_use]
    pub fn with_build(&self, build: impl Into<String>) -> Self {
        self.with(|inner| inner.build = Some(build.into().into()))
    }

    /// Sets for how long an execution counts as alive after its leader was last polled; default 3 s. It is renewed every third
    /// of that. After a process is lost, those that wait for it notice at the latest when the lease is over.
    ///
    /// # Panics
    ///
    /// If it is shorter than 30 ms.
    #[must_use]
    pub fn with_lease(&self, lease: Duration) -> Self {
        assert!(
            lease >= Duration::from_millis(30),
            "a lease of less than 30 ms"
        );
        self.with(|inner| inner.settings.lease = lease)
    }

    /// Sets for how long a call waits for other processes, all told; default 5 s. Then it runs the body itself. Executions
    /// that began longer ago than that aren't joined. Set it above the time that the longest body takes.
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        self.with(|inner| inner.settings.patience = patience)
    }

    /// Sets how long a call waits for an answer of the store; default 100 ms. If it takes longer, the call runs the body. After
    /// three late answers in a row, calls don't ask until the store works again.
    #[must_use]
    pub fn with_slow(&self, slow: Duration) -> Self {
        self.with(|inner| inner.settings.slow = slow)
    }

    /// Sets for how long the store keeps a result for those that wait for it; default 250 ms. It bounds how old a result is
    /// when it is used: at most twice that.
    ///
    /// # Panics
    ///
    /// If it is shorter than 1 ms.
    #[must_use]
    pub fn with_keep(&self, keep: Duration) -> Self {
        assert!(
            keep >= Duration::from_millis(1),
            "a result that is not kept"
        );
        self.with(|inner| inner.settings.keep = keep)
    }

    /// Sets how many bytes a result may have; default 256 KiB. Larger results aren't shared: every process runs the body.
    #[must_use]
    pub fn with_max_value(&self, bytes: usize) -> Self {
        self.with(|inner| inner.settings.max_value = bytes)
    }

    /// Sets how long ago an execution may have begun that a call joins; by default as long as `patience` lasts. A call that finds
    /// an older one begins a new one, which later calls join.
    ///
    /// With the option `across`, the option `max_age_ms` sets it for a function: the lower of the two counts.
    #[must_use]
    pub fn with_max_age(&self, age: Duration) -> Self {
        self.with(|inner| inner.settings.max_age = age)
    }

    /// Runs `body`, or returns the result of a call with an equal key that another process is running.
    ///
    /// Calls are equal if `function` is the same and their keys serialise to equal bytes, in processes of equal builds. The
    /// types don't count by themselves: use one name for one function. **Everything that the result depends on must be in the
    /// key**: the tenant, the user and the locale too. What the `#[dedup]` around it leaves out (`skip`, `scope`) is not compared
    /// here either, and here it mixes the callers of all processes. Within a process, calls are not shared: in a
    /// [`#[dedup]`](crate::dedup) function, write `across = FLEET` instead.
    ///
    /// ```
    /// # use piggyback::fleet::{Fleet, Memory};
    /// use piggyback::dedup;
    /// use std::sync::LazyLock;
    ///
    /// # fn engine() -> Memory { Memory::new() }
    /// static FLEET: LazyLock<Fleet> = LazyLock::new(|| Fleet::new("orders-prod", engine()));
    ///
    /// #[dedup(spawn)]
    /// async fn report(id: u64) -> String {
    ///     FLEET.share("report", &id, async move { format!("report {id}") }).await
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// assert_eq!(report(7).await, "report 7");
    /// # }
    /// ```
    ///
    /// Cancel safe: if the future is dropped while it runs the body for others, one of them takes over.
    pub fn share<K, F>(&self, function: &str, key: &K, body: F) -> Across<F, Whole<F::Output>>
    where
        K: Serialize + ?Sized,
        F: Future<Output: Serialize + DeserializeOwned>,
    {
        Across::new(body, Whole::new(), self.start(function, key))
    }

    /// Like [`share`](Self::share), for a `Result` of which only `Ok` travels. An `Err` stays in the process: others that wait
    /// run their bodies at once. So `E` needs no serde.
    ///
    /// ```
    /// # use piggyback::fleet::{Fleet, Memory};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let fleet = Fleet::new("orders-prod", Memory::new());
    /// let path = "/etc/hostname";
    /// let _ = fleet.try_share("hostname", path, async { std::fs::read_to_string(path) }).await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_share<K, F, T, E>(
        &self,
        function: &str,
        key: &K,
        body: F,
    ) -> Across<F, Success<T, E>>
    where
        K: Serialize + ?Sized,
        F: Future<Output = Result<T, E>>,
        T: Serialize + DeserializeOwned,
    {
        Across::new(body, Success::new(), self.start(function, key))
    }

    /// Calls that begin after this don't join an execution that began before it, in any process: for after a write.
    ///
    /// It is for calls of [`share`](Self::share). It does not reach a `#[dedup]` around them: a function with `across` has its option
    /// `forget` for that.
    ///
    /// The command is sent at once. Calls of this process that begin later are behind it, whether the [`Forgotten`] is awaited or not;
    /// those of other processes, when it has returned `Ok`. If the store doesn't answer, it returns an error after `slow`, and calls of this process stay local for as long as `patience`, after which no older execution can be joined.
    pub fn forget<K: Serialize + ?Sized>(&self, function: &str, key: &K) -> Forgotten {
        let flight = self.0.as_ref().and_then(|inner| {
            let flight = inner.flight(function, codec::encode_key(key));
            Some((inner, flight.ok()?))
        });
        match flight {
            Some((inner, flight)) => inner.forget(&flight),
            // What has no name in the fleet is not shared.
            None => Forgotten::done(),
        }
    }

    /// What the calls of this process did so far. All clones count together.
    pub fn stats(&self) -> FleetStats {
        self.0
            .as_ref()
            .map_or_else(FleetStats::default, |inner| inner.hub.stats())
    }

    /// Whether calls share with other processes now: the store can be reached, and the build is known.
    pub fn is_up(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| {
            inner.hub.start();
            inner.hub.takes_part().is_ok() && inner.build().is_some()
        })
    }

    /// Leaves the fleet: for the shutdown of a process that still has calls to finish. Executions that this process leads are
    /// given up when they are next polled, so that others take over while these finish for themselves; calls that begin later
    /// run their bodies. Without it, the same happens to a call when it is dropped, or when the process ends.
    pub fn close(&self) {
        if let Some(inner) = &self.0 {
            inner.hub.close();
        }
    }

    fn with(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut fleet = self.clone();
        if let Some(inner) = &mut fleet.0 {
            change(inner);
        }
        fleet
    }

    fn start<K: Serialize + ?Sized>(&self, function: &str, key: &K) -> Option<Start> {
        let inner = self.0.as_ref()?;
        inner.hub.start();
        let flight = inner.flight(function, codec::encode_key(key));
        Some(Start {
            hub: inner.hub.clone(),
            settings: inner.settings,
            around: None,
            flight: Box::new(|| flight),
        })
    }
}

impl Inner {
    fn build(&self) -> Option<&str> {
        match &self.build {
            Some(build) => Some(build),
            None => {
                build::find_out();
                build::of_executable()
            }
        }
    }

    fn flight(&self, function: &str, key: Option<Vec<u8>>) -> Result<Flight, Unnamed> {
        let build = self.build().ok_or(Unnamed::Build)?;
        match key.filter(|key| key.len() <= MAX_KEY) {
            Some(key) => Ok(Flight::new(&self.name, function, build, &key)),
            None => Err(Unnamed::Key),
        }
    }

    fn forget(&self, flight: &Flight) -> Forgotten {
        self.hub.start();
        Forgotten::of(flight, &self.hub, self.settings)
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("Fleet::local()"),
            Some(inner) => f
                .debug_struct("Fleet")
                .field("name", &inner.name)
                .field("settings", &inner.settings)
                .field("up", &inner.hub.is_up())
                .finish_non_exhaustive(),
        }
    }
}
