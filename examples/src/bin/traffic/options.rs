//! The command line, and the plan that follows from it: which database, and how much traffic.

use std::{path::PathBuf, str::FromStr, time::Duration};

use sqlx::postgres::PgConnectOptions;

/// Real traffic on a service, with piggyback and without.
///
/// Starts a web service on a real database, each route as plain code and with one line of piggyback
/// above the function that queries. Sends all of them the same traffic over HTTP, prints the
/// results, draws them in an HTML page, and checks every answer and every row. Ends with exit
/// code 1 if a check fails.
#[derive(Debug, clap::Parser)]
#[command(name = "traffic")]
pub(crate) struct Options {
    /// Run on this PostgreSQL database, in a schema made for the run and dropped after it
    /// [default: SQLite, in a temporary folder under $TMPDIR]
    #[arg(long, value_name = "URL", value_parser = postgres_url)]
    pub(crate) database_url: Option<PgConnectOptions>,

    /// A run of about 20 seconds that does and checks everything, but measures less exactly
    #[arg(long)]
    pub(crate) quick: bool,

    /// How unequal people are (Zipf): the n-th most popular one has 1/n^EXPONENT of the first one's
    /// traffic
    #[arg(long, value_name = "EXPONENT", default_value = "1.0", value_parser = zipf)]
    pub(crate) zipf: f64,

    /// The file for the page with the charts
    #[arg(long, value_name = "FILE", default_value = "traffic.html")]
    pub(crate) output: PathBuf,
}

/// The traffic of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// The exponent of the Zipf distribution of people.
    pub(crate) zipf: f64,
    /// How many callers call at the same time.
    pub(crate) callers: &'static [usize],
    /// How often each is measured. The median counts, and the lowest and the highest are shown.
    pub(crate) samples: usize,
    /// How long one sample takes.
    pub(crate) sample: Duration,
    /// How long each rate of the sweep lasts.
    pub(crate) step: Duration,
    /// Bursts of 1, 2, 3, … up to this many calls at once.
    pub(crate) largest_burst: usize,
    /// How often each burst is repeated: the median counts.
    pub(crate) repeats: usize,
}

impl Options {
    pub(crate) fn plan(&self) -> Plan {
        Plan {
            zipf: self.zipf,
            callers: &[1, 4, 16, 64, 256],
            samples: 3,
            sample: Duration::from_millis(if self.quick { 70 } else { 500 }),
            step: Duration::from_millis(if self.quick { 150 } else { 700 }),
            largest_burst: if self.quick { 20 } else { 50 },
            repeats: if self.quick { 1 } else { 3 },
        }
    }
}

fn postgres_url(url: &str) -> Result<PgConnectOptions, String> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("expected postgres://user:password@host:port/database; \
                    leave the option out to run on SQLite"
            .into());
    }
    PgConnectOptions::from_str(url).map_err(|error| error.to_string())
}

fn zipf(exponent: &str) -> Result<f64, String> {
    match exponent.parse() {
        Ok(exponent) if (0.0..=5.0).contains(&exponent) => Ok(exponent),
        _ => Err("expected a number from 0 (all are equal) to 5".into()),
    }
}
