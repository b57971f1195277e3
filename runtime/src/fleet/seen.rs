//! What monitoring sees of a fleet's store (feature `metrics`): whether it can be reached, and how long its answers take.
//!
//! Without the feature, nothing is kept and no clock is read.

use std::fmt;

use super::engine::{Reply, Unanswered};

/// The commands of an [`Engine`](super::Engine), by the names that they have in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Join,
    Look,
    Renew,
    Close,
    Land,
    Forget,
}

pub(crate) struct Seen {
    #[cfg(feature = "metrics")]
    metrics: std::sync::Arc<metered::Metrics>,
}

impl Seen {
    pub(crate) fn new(fleet: &str) -> Self {
        let _ = fleet;
        Self {
            #[cfg(feature = "metrics")]
            metrics: std::sync::Arc::new(metered::Metrics::new(fleet)),
        }
    }

    /// Says what the metrics are. A recorder may be installed after the fleet is made, but before its first call.
    pub(crate) fn describe(&self) {
        #[cfg(feature = "metrics")]
        metered::describe();
    }

    /// The store can be reached, or no longer, as `is_up` says at this moment. Threads may find that out at the same time: the last
    /// one to report makes sure that the gauge is not what it was before.
    pub(crate) fn changed(&self, is_up: impl Fn() -> bool) {
        #[cfg(feature = "metrics")]
        loop {
            let up = is_up();
            self.metrics.up(up);
            if is_up() == up {
                break;
            }
        }
        let _ = is_up;
    }

    /// A reply to a command that is given now. What is not answered is not measured.
    pub(crate) fn reply<T: 'static>(
        &self,
        command: Command,
        then: impl FnOnce(Result<T, Unanswered>) + Send + 'static,
    ) -> Reply<T> {
        #[cfg(feature = "metrics")]
        let then = {
            let (metrics, given) = (self.metrics.clone(), std::time::Instant::now());
            move |answer: Result<T, Unanswered>| {
                if answer.is_ok() {
                    metrics.answered(command, given.elapsed());
                }
                then(answer);
            }
        };
        let _ = command;
        Reply::new(then)
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seen")
    }
}

#[cfg(feature = "metrics")]
mod metered {
    use std::time::Duration;

    use metrics::{
        Key, Label, SharedString, Unit, describe_gauge, describe_histogram, with_recorder,
    };

    use super::Command;
    use crate::observe::{METADATA, record};
    use crate::wake::guarded;

    /// The names and labels of one fleet's metrics, made once.
    pub(super) struct Metrics {
        up: Key,
        seconds: [Key; 6],
    }

    impl Metrics {
        pub(super) fn new(fleet: &str) -> Self {
            let fleet = Label::new("fleet", SharedString::from_shared(fleet.into()));
            let seconds = |command| {
                let command = Label::from_static_parts("command", command);
                Key::from_parts("piggyback_fleet_seconds", vec![fleet.clone(), command])
            };
            Self {
                up: Key::from_parts("piggyback_fleet_up", vec![fleet.clone()]),
                seconds: ["join", "look", "renew", "close", "land", "forget"].map(seconds),
            }
        }

        // A recorder that panics must not end the thread that has the connection.
        pub(super) fn up(&self, up: bool) {
            let value = f64::from(u8::from(up));
            guarded(|| {
                with_recorder(|recorder| recorder.register_gauge(&self.up, &METADATA)).set(value);
            });
        }

        pub(super) fn answered(&self, command: Command, time: Duration) {
            let key = &self.seconds[command as usize];
            guarded(|| record(key, time.as_secs_f64()));
        }
    }

    pub(super) fn describe() {
        describe_gauge!(
            "piggyback_fleet_up",
            Unit::Count,
            "Whether calls share with other processes: 1, or 0 while the store can't be reached"
        );
        describe_histogram!(
            "piggyback_fleet_seconds",
            Unit::Seconds,
            "Time from a command to the store's answer"
        );
    }
}
