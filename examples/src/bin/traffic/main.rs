//! Real traffic on a service, with piggyback and without. `routes/piggyback.rs` has the two lines that make the difference;
//! `--help` says what this program measures.

mod chart;
mod checks;
mod client;
mod database;
mod error;
mod load;
mod options;
mod picture;
mod post;
mod progress;
mod report;
mod routes;

use std::{fs::File, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;

use crate::{
    checks::Ledger,
    client::Route,
    database::Db,
    load::{Job, Load, Measured},
    options::{Options, Plan},
    progress::Progress,
    report::{Measurements, Report},
};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all checks passed.
async fn run(options: &Options) -> anyhow::Result<bool> {
    // A wrong path should fail before the run, not after it.
    File::options()
        .create(true)
        .append(true)
        .open(&options.output)
        .with_context(|| format!("can't write {}", options.output.display()))?;

    let plan = options.plan();
    let progress = Progress::new(steps(plan));
    let db = Db::create(options).await?;
    let report = tokio::select! {
        report = traffic(plan, &db, &progress) => report,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    progress.say("cleaning up");
    db.remove().await.context("can't clean up")?;

    let report = report?;
    std::fs::write(&options.output, picture::page(&report))?;
    progress.print(&report.text())?;
    progress.print(&format!("The charts are in {}.", options.output.display()))?;
    progress.end();
    Ok(report.passed())
}

/// Writes come last: timelines are compared while nothing is written.
const JOBS: [Job; 3] = [Job::ReadHot, Job::ReadTimelines, Job::SavePosts];

/// The data, each number of callers, the bursts and the sweeps of each job, HTTP alone, the checks.
fn steps(plan: Plan) -> usize {
    JOBS.len() * (plan.callers.len() + 2) - 2 + 3
}

async fn traffic(plan: Plan, db: &Db, progress: &Progress) -> anyhow::Result<Report> {
    progress.say("making people, posts and follows");
    let follows = db.seed().await?;
    let address = routes::serve(db.clone()).await?;
    progress.done("people, posts and follows are in the database");
    let load = &Load {
        db,
        address,
        zipf: plan.zipf,
    };
    let ledger = &mut Ledger::default();

    let mut jobs = Vec::new();
    let mut right = Ok(String::new());
    for job in JOBS {
        if job == Job::SavePosts {
            right = ledger.every_timeline_is_right(load).await?;
        }
        jobs.push(measure(load, plan, job, ledger, progress).await?);
    }
    progress.say("checking posts and timelines");
    let saved = ledger.every_post_is_saved_once(db).await?;
    let fresh = Ledger::nothing_old_is_answered(load).await?;
    progress.done("posts and timelines are checked");

    progress.say("measuring HTTP without a service");
    let (sample, _) = load
        .run(Job::Nothing, Route::Plain, 64, plan.sample)
        .await?;
    let http = Measured::of(Route::Plain, 64, vec![sample]);
    progress.done("HTTP alone is measured");
    let checks = vec![
        ledger.every_request_succeeded(),
        checks::every_plain_request_is_a_query(jobs.iter().flat_map(|job| &job.measured)),
        saved,
        right,
        fresh,
    ];
    // Writes first: they gain most.
    jobs.rotate_right(1);
    Ok(Report {
        setting: report::setting(&db.day().await?, &db.describe().await?, follows, plan.zipf),
        jobs,
        http,
        checks,
    })
}

/// The routes take turns, so that they find the machine in the same state.
async fn measure(
    load: &Load<'_>,
    plan: Plan,
    job: Job,
    ledger: &mut Ledger,
    progress: &Progress,
) -> anyhow::Result<Measurements> {
    let what = report::what(job);
    progress.say(what);
    // Opens connections, prepares statements and fills caches before the first measurement.
    for &route in job.routes() {
        let (_, replies) = load.run(job, route, 64, plan.sample / 5).await?;
        ledger.enter(route, replies);
    }

    let mut measurements = Measurements::new(job);
    for &callers in plan.callers {
        progress.say(format!("{what}, {callers} callers"));
        let mut samples: Vec<_> = job.routes().iter().map(|&route| (route, vec![])).collect();
        for _ in 0..plan.samples {
            for (route, samples) in &mut samples {
                let (sample, replies) = load.run(job, *route, callers, plan.sample).await?;
                ledger.enter(*route, replies);
                samples.push(sample);
            }
        }
        let mut line = format!("{what}, {callers} callers, requests/s:");
        for (route, samples) in samples {
            let measured = Measured::of(route, callers, samples);
            let rate = report::count(measured.per_second as usize);
            line += &format!(" {} {rate}", report::name(job, route));
            measurements.measured.push(measured);
        }
        progress.done(&line);
    }

    if job != Job::ReadTimelines {
        progress.say(format!("{what}, bursts"));
        for &route in job.routes() {
            let (bursts, replies) = load
                .bursts(job, route, plan.largest_burst, plan.repeats)
                .await?;
            ledger.enter(route, replies);
            measurements.bursts.push((route, bursts));
        }
        progress.done(&format!("{what}, bursts"));
        let mut line = format!("{what}, highest rate:");
        for &route in job.routes() {
            progress.say(format!("{what}, rising rate, {}", report::name(job, route)));
            let (steps, replies) = load.sweep(job, route, plan.step).await?;
            ledger.enter(route, replies);
            line += &format!(" {} {}", report::name(job, route), report::holds(&steps));
            measurements.sweeps.push((route, steps));
        }
        progress.done(&line);
    }
    Ok(measurements)
}
