//! The traffic: many callers at once (closed loop), bursts, and calls at a given rate (open loop).

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Exp, Zipf};
use tokio::{task::JoinSet, time::sleep_until};

use crate::{
    client::{Call, Caller, Reply, Route},
    database::{Db, PEOPLE},
    post::NewPost,
};

/// What all callers of a measurement do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Nothing,
    /// All callers want the same timeline.
    ReadHot,
    /// Callers want the timelines of many people, some of them more often than others.
    ReadTimelines,
    SavePosts,
}

impl Job {
    /// The routes that are compared, the plain one first.
    pub(crate) fn routes(self) -> &'static [Route] {
        match self {
            Self::Nothing => &[Route::Plain],
            Self::ReadHot | Self::ReadTimelines => &[Route::Plain, Route::Piggyback],
            Self::SavePosts => &[Route::Plain, Route::Delay, Route::Piggyback],
        }
    }
}

/// One sample of a measurement.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) requests: usize,
    pub(crate) queries: u64,
    pub(crate) per_second: f64,
    pub(crate) latencies: Vec<Duration>,
}

/// All samples of one route with one number of callers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) route: Route,
    pub(crate) callers: usize,
    pub(crate) requests: usize,
    pub(crate) queries: u64,
    /// The median of the samples, the lowest and the highest.
    pub(crate) per_second: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Measured {
    pub(crate) fn of(route: Route, callers: usize, samples: Vec<Sample>) -> Self {
        let mut rates: Vec<f64> = samples.iter().map(|sample| sample.per_second).collect();
        rates.sort_by(f64::total_cmp);
        let requests = samples.iter().map(|sample| sample.requests).sum();
        let queries = samples.iter().map(|sample| sample.queries).sum();
        let mut latencies: Vec<_> = samples.into_iter().flat_map(|s| s.latencies).collect();
        Self {
            route,
            callers,
            requests,
            queries,
            per_second: rates[rates.len() / 2],
            lowest: rates[0],
            highest: rates[rates.len() - 1],
            p50: percentile(&mut latencies, 50),
            p99: percentile(&mut latencies, 99),
        }
    }
}

/// The latencies at one rate of arrival.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// A rate is too high for a route if its 99th percentile is above this.
pub(crate) const TOO_SLOW: Duration = Duration::from_millis(100);

impl Step {
    pub(crate) fn holds(&self) -> bool {
        self.p99 <= TOO_SLOW
    }
}

fn percentile(latencies: &mut [Duration], p: usize) -> Duration {
    let at = (latencies.len() - 1) * p / 100;
    *latencies.select_nth_unstable(at).1
}

/// So many calls at the same moment, and the queries that they made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Burst {
    pub(crate) calls: usize,
    pub(crate) queries: u64,
}

/// Makes the traffic, and counts the queries it leads to.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    pub(crate) db: &'a Db,
    pub(crate) address: SocketAddr,
    /// The exponent of the Zipf distribution of people.
    pub(crate) zipf: f64,
}

impl Load<'_> {
    /// Callers that call, get their answer, and call again, until the time is over. Calls that have started are also
    /// finished, so that requests and queries can be compared.
    pub(crate) async fn run(
        &self,
        job: Job,
        route: Route,
        callers: usize,
        duration: Duration,
    ) -> anyhow::Result<(Sample, Vec<Reply>)> {
        let connections = self.connect(callers).await?;
        let queries = self.db.queries();

        let start = Instant::now();
        let mut running = JoinSet::new();
        for (seed, mut caller) in (1..).zip(connections) {
            let mut calls = Calls::new(job, self.zipf, seed);
            running.spawn(async move {
                let mut replies = Vec::new();
                loop {
                    replies.push(caller.call(route, calls.next()).await?);
                    if start.elapsed() >= duration {
                        break anyhow::Ok(replies);
                    }
                }
            });
        }
        let replies = concat(running).await?;
        let elapsed = start.elapsed();
        let sample = Sample {
            requests: replies.len(),
            queries: self.db.queries() - queries,
            per_second: replies.len() as f64 / elapsed.as_secs_f64(),
            latencies: replies.iter().map(|reply| reply.latency).collect(),
        };
        Ok((sample, replies))
    }

    /// Calls that arrive at a rate that doubles every other step, whether or not earlier calls have ended, until the route
    /// can't keep up. A call's latency counts from its arrival, so the time in which it waits for a free connection is part of it.
    pub(crate) async fn sweep(
        &self,
        job: Job,
        route: Route,
        duration: Duration,
    ) -> anyhow::Result<(Vec<Step>, Vec<Reply>)> {
        const CONNECTIONS: usize = 256;
        const FIRST: f64 = 500.0;

        let mut steps: Vec<Step> = Vec::new();
        let mut replies = Vec::new();
        while steps.last().is_none_or(Step::holds) {
            let rate = FIRST * 2_f64.sqrt().powi(steps.len() as i32);
            let arrivals = Arc::new(arrivals(rate, duration));
            let next = Arc::new(AtomicUsize::new(0));
            let connections = self.connect(CONNECTIONS).await?;
            let start = Instant::now();
            let mut running = JoinSet::new();
            for (seed, mut caller) in (1..).zip(connections) {
                let mut calls = Calls::new(job, self.zipf, seed);
                let (arrivals, next) = (arrivals.clone(), next.clone());
                running.spawn(async move {
                    let mut replies = Vec::new();
                    while let Some(&arrival) = arrivals.get(next.fetch_add(1, Relaxed)) {
                        let arrival = start + arrival;
                        sleep_until(arrival.into()).await;
                        let mut reply = caller.call(route, calls.next()).await?;
                        reply.latency = arrival.elapsed();
                        replies.push(reply);
                    }
                    anyhow::Ok(replies)
                });
            }
            let answered = concat(running).await?;
            let mut latencies: Vec<_> = answered.iter().map(|reply| reply.latency).collect();
            steps.push(Step {
                rate,
                p50: percentile(&mut latencies, 50),
                p99: percentile(&mut latencies, 99),
            });
            replies.extend(answered);
        }
        Ok((steps, replies))
    }

    /// Bursts of 1, 2, 3, … calls at once. Each is repeated, and the median of the queries counts.
    /// All that read want the same timeline.
    pub(crate) async fn bursts(
        &self,
        job: Job,
        route: Route,
        largest: usize,
        repeats: usize,
    ) -> anyhow::Result<(Vec<Burst>, Vec<Reply>)> {
        let mut callers = self.connect(largest).await?;
        let mut calls = Calls::new(job, self.zipf, 0);
        let mut bursts = Vec::new();
        let mut replies = Vec::new();

        for size in 1..=largest {
            let mut counts = Vec::new();
            for _ in 0..repeats {
                let queries = self.db.queries();
                let mut running = JoinSet::new();
                for mut caller in callers.drain(..size) {
                    let call = match job {
                        Job::ReadHot | Job::ReadTimelines => Call::Timeline(HOT),
                        Job::Nothing | Job::SavePosts => calls.next(),
                    };
                    running.spawn(async move {
                        let reply = caller.call(route, call).await?;
                        anyhow::Ok((caller, reply))
                    });
                }
                for done in running.join_all().await {
                    let (caller, reply) = done?;
                    callers.push(caller);
                    replies.push(reply);
                }
                counts.push(self.db.queries() - queries);
            }
            counts.sort_unstable();
            bursts.push(Burst {
                calls: size,
                queries: counts[repeats / 2],
            });
        }
        Ok((bursts, replies))
    }

    /// The timelines of these people, one request each, by this many callers.
    pub(crate) async fn timelines(
        &self,
        route: Route,
        people: Vec<i64>,
        callers: usize,
    ) -> anyhow::Result<Vec<Reply>> {
        let people = Arc::new(people);
        let next = Arc::new(AtomicUsize::new(0));
        let mut running = JoinSet::new();
        for mut caller in self.connect(callers).await? {
            let (people, next) = (people.clone(), next.clone());
            running.spawn(async move {
                let mut replies = Vec::new();
                while let Some(&person) = people.get(next.fetch_add(1, Relaxed)) {
                    replies.push(caller.call(route, Call::Timeline(person)).await?);
                }
                anyhow::Ok(replies)
            });
        }
        concat(running).await
    }

    async fn connect(&self, callers: usize) -> anyhow::Result<Vec<Caller>> {
        let mut connections = Vec::with_capacity(callers);
        for _ in 0..callers {
            connections.push(Caller::connect(self.address).await?);
        }
        Ok(connections)
    }
}

async fn concat(running: JoinSet<anyhow::Result<Vec<Reply>>>) -> anyhow::Result<Vec<Reply>> {
    let replies: Result<Vec<_>, _> = running.join_all().await.into_iter().collect();
    Ok(replies?.into_iter().flatten().collect())
}

/// The person whose timeline all callers want.
const HOT: i64 = 1;

/// When calls arrive: at random (a Poisson process), from a fixed seed.
fn arrivals(rate: f64, duration: Duration) -> Vec<Duration> {
    let mut rng = StdRng::seed_from_u64(rate.to_bits());
    let gaps = Exp::new(rate).expect("a positive rate");
    let mut at = 0.0;
    std::iter::repeat_with(|| {
        at += gaps.sample(&mut rng);
        Duration::from_secs_f64(at)
    })
    .take_while(|&at| at < duration)
    .collect()
}

/// The calls that one caller makes, one after the other.
#[derive(Debug)]
struct Calls {
    job: Job,
    rng: StdRng,
    people: Zipf<f64>,
}

impl Calls {
    fn new(job: Job, zipf: f64, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        let people = Zipf::new(PEOPLE as f64, zipf).expect("a valid distribution");
        Self { job, rng, people }
    }

    fn next(&mut self) -> Call {
        static TICKETS: AtomicI64 = AtomicI64::new(1);

        let person = self.people.sample(&mut self.rng) as i64;
        match self.job {
            Job::Nothing => Call::Nothing,
            Job::ReadHot => Call::Timeline(HOT),
            Job::ReadTimelines => Call::Timeline(person),
            Job::SavePosts => {
                let ticket = TICKETS.fetch_add(1, Relaxed);
                let text = format!("No. {ticket}: \"what person {person} has to say today\" …");
                Call::Post(NewPost {
                    author: person,
                    text,
                    ticket,
                })
            }
        }
    }
}
