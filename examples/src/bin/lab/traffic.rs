//! The traffic, the same for both services, and what the page shows of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Poisson, Zipf};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::database::Row;
use crate::service::{Request, Service};
use crate::settings::SETTINGS;

const KEYS: f64 = 100.0;
/// How often the page gets a new point.
const TICK: Duration = Duration::from_millis(250);
/// How many points are kept: a minute.
const KEPT: usize = 240;
/// How often requests are made.
const STEP: Duration = Duration::from_millis(5);

/// What happened in a tick.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tick {
    number: u64,
    /// Requests per second that arrived.
    requests: f64,
    plain: Figures,
    piggyback: Figures,
}

#[derive(Debug, Clone, Serialize)]
struct Figures {
    /// Per second.
    answered: f64,
    /// Per second.
    queries: f64,
    /// In milliseconds; none if no request was answered.
    p50: Option<f64>,
    p99: Option<f64>,
    waiting: usize,
    /// Per second.
    refused: f64,
    failed: u64,
    /// The rows of each INSERT.
    inserts: Vec<usize>,
    /// Leaders that were dropped while others waited, since the start.
    takeovers: u64,
}

pub(crate) struct Lab {
    plain: Arc<Service>,
    piggyback: Arc<Service>,
    bad_row: AtomicBool,
    ticks: Mutex<VecDeque<Tick>>,
}

impl Lab {
    /// Starts both services and their traffic.
    pub(crate) fn start() -> Arc<Self> {
        let lab = Arc::new(Self {
            plain: Service::new(false),
            piggyback: Service::new(true),
            bad_row: AtomicBool::new(false),
            ticks: Mutex::default(),
        });
        tokio::spawn(run(lab.clone()));
        lab
    }

    pub(crate) fn ticks_since(&self, number: u64) -> Vec<Tick> {
        let ticks = self.ticks.lock().unwrap();
        ticks
            .iter()
            .filter(|tick| tick.number > number)
            .cloned()
            .collect()
    }

    pub(crate) fn drop_leaders(&self) -> String {
        let plain = self.plain.drop_leader();
        match (plain, self.piggyback.drop_leader()) {
            (_, Some(key)) => format!(
                "The caller that ran the query for key {key} hung up. With #[dedup], another caller takes over."
            ),
            (Some(_), None) => {
                "A plain caller hung up; with #[dedup], no query was running.".into()
            }
            (None, None) => "No query is running. Try again.".into(),
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.plain.database.is_paused()
    }

    pub(crate) fn pause(&self) -> String {
        let paused = !self.is_paused();
        for service in [&self.plain, &self.piggyback] {
            service.database.pause(paused);
        }
        if paused {
            "Both databases stand still. Press again to continue.".into()
        } else {
            "Both databases continue.".into()
        }
    }

    pub(crate) fn one_bad_row(&self) -> String {
        self.bad_row.store(true, Relaxed);
        "The next row violates a constraint. With split_on_err, only its own caller fails.".into()
    }

    /// A request, drawn from the distribution of keys.
    fn request(&self, rng: &mut StdRng, keys: Zipf<f64>) -> Request {
        if rng.random_bool(0.5) {
            Request::Read(keys.sample(rng) as u64)
        } else {
            let bad = self.bad_row.swap(false, Relaxed);
            Request::Write(Row { bad })
        }
    }
}

async fn run(lab: Arc<Lab>) {
    let mut rng = StdRng::seed_from_u64(2022);
    let mut steps = interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut number, mut requests) = (0, 0);
    let mut last_step = steps.tick().await;
    let mut last_tick = last_step;
    loop {
        steps.tick().await;
        let now = tokio::time::Instant::now();
        let settings = SETTINGS.values();
        let keys = Zipf::new(KEYS, settings.skew as f64 / 100.0).expect("a valid distribution");
        let expected = settings.rate as f64 * (now - last_step).as_secs_f64();
        last_step = now;
        let arrivals = Poisson::new(expected).map_or(0.0, |arrivals| arrivals.sample(&mut rng));
        for _ in 0..arrivals as u64 {
            let request = lab.request(&mut rng, keys);
            lab.plain.handle(request.clone());
            lab.piggyback.handle(request);
            requests += 1;
        }
        let elapsed = now - last_tick;
        if elapsed >= TICK {
            last_tick = now;
            number += 1;
            let seconds = elapsed.as_secs_f64();
            let tick = Tick {
                number,
                requests: f64::from(std::mem::take(&mut requests)) / seconds,
                plain: figures(&lab.plain, seconds),
                piggyback: figures(&lab.piggyback, seconds),
            };
            let mut ticks = lab.ticks.lock().unwrap();
            ticks.push_back(tick);
            if ticks.len() > KEPT {
                ticks.pop_front();
            }
        }
    }
}

fn figures(service: &Service, seconds: f64) -> Figures {
    let counts = &service.counts;
    let mut latencies = std::mem::take(&mut *counts.latencies.lock().unwrap());
    latencies.sort_unstable();
    let percentile = |p: usize| {
        let last = latencies.len().checked_sub(1)?;
        Some(latencies[last * p / 100].as_secs_f64() * 1e3)
    };
    Figures {
        answered: counts.answered.swap(0, Relaxed) as f64 / seconds,
        queries: service.database.take_queries() as f64 / seconds,
        p50: percentile(50),
        p99: percentile(99),
        waiting: service.waiting.load(Relaxed),
        refused: counts.refused.swap(0, Relaxed) as f64 / seconds,
        failed: counts.failed.swap(0, Relaxed),
        inserts: service.database.take_inserts(),
        takeovers: service.takeovers(),
    }
}
