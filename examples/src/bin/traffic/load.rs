//! The traffic: many callers at once, for a while or in bursts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Zipf};
use tokio::task::JoinSet;

use crate::{
    client::{Call, Caller, Reply, Route},
    database::{Db, PEOPLE},
    post::NewPost,
    progress::Progress,
};

/// What all callers of a measurement do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Nothing,
    ReadTimelines,
    SavePosts,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) route: Route,
    pub(crate) callers: usize,
    pub(crate) requests: usize,
    pub(crate) queries: u64,
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// So many calls at the same moment, and the queries that they took.
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
    pub(crate) progress: &'a Progress,
    /// The exponent of the Zipf distribution of people.
    pub(crate) zipf: f64,
}

impl Load<'_> {
    /// Callers that call, get their answer, and call again, until the time is over. What was begun
    /// is also finished, so that requests and queries can be compared.
    pub(crate) async fn run(
        &self,
        job: Job,
        route: Route,
        callers: usize,
        duration: Duration,
    ) -> anyhow::Result<(Measured, Vec<Reply>)> {
        let connections = self.connect(callers).await?;
        self.progress.run(route, callers);
        let queries = self.db.queries();

        let start = Instant::now();
        let mut running = JoinSet::new();
        for (seed, mut caller) in (1..).zip(connections) {
            let mut calls = Calls::new(job, self.zipf, seed);
            let progress = self.progress.clone();
            running.spawn(async move {
                let mut replies = Vec::new();
                loop {
                    replies.push(caller.call(route, calls.next()).await?);
                    progress.reply();
                    if start.elapsed() >= duration {
                        break anyhow::Ok(replies);
                    }
                }
            });
        }
        let replies = concat(running).await?;
        let elapsed = start.elapsed();

        let mut latencies: Vec<_> = replies.iter().map(|reply| reply.latency).collect();
        latencies.sort_unstable();
        let percentile = |p| latencies[(latencies.len() - 1) * p / 100];
        let measured = Measured {
            route,
            callers,
            requests: replies.len(),
            queries: self.db.queries() - queries,
            per_second: replies.len() as f64 / elapsed.as_secs_f64(),
            p50: percentile(50),
            p99: percentile(99),
        };
        Ok((measured, replies))
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

        self.progress.bursts(route);
        for size in 1..=largest {
            let mut counts = Vec::new();
            for _ in 0..repeats {
                let queries = self.db.queries();
                let mut running = JoinSet::new();
                for mut caller in callers.drain(..size) {
                    let call = match job {
                        Job::ReadTimelines => Call::Timeline(1),
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
                    self.progress.reply();
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

    /// The timelines of these people, one request each, by so many callers.
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
