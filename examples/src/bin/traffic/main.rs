//! Real traffic on a service, with piggyback and without: see `routes/piggyback.rs` for the two
//! lines that make the difference, and `--help` for what this program does with them.

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
    load::{Job, Load},
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

/// Whether all checks passed.
async fn run(options: &Options) -> anyhow::Result<bool> {
    // Better to hear of a wrong path before the run than after it.
    File::options()
        .create(true)
        .append(true)
        .open(&options.output)
        .with_context(|| format!("can't write {}", options.output.display()))?;

    let progress = Progress::new();
    let db = Db::create(options).await?;
    let report = tokio::select! {
        report = traffic(options.plan(), &db, &progress) => report,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    progress.say("cleaning up");
    db.remove().await.context("can't clean up")?;

    let report = report?;
    std::fs::write(&options.output, picture::page(&report))?;
    progress.print(&report.summary())?;
    progress.print(&format!(
        "The pictures are in {}.",
        options.output.display()
    ))?;
    progress.end();
    Ok(report.passed())
}

async fn traffic(plan: Plan, db: &Db, progress: &Progress) -> anyhow::Result<Report> {
    progress.say("making people, posts, and who follows whom");
    let follows = db.seed().await?;
    let address = routes::serve(db.clone()).await?;
    let load = &Load {
        db,
        address,
        progress,
        zipf: plan.zipf,
    };
    let ledger = &mut Ledger::default();

    let setting = report::setting(&db.describe().await?, follows, plan.zipf);
    progress.print(&setting)?;
    let reads = measure(load, plan, Job::ReadTimelines, ledger).await?;
    progress.say("comparing timelines");
    let right = ledger.every_timeline_is_right(load).await?;
    let writes = measure(load, plan, Job::SavePosts, ledger).await?;
    progress.say("checking posts and timelines");
    let saved = ledger.every_post_is_saved_once(db).await?;
    let fresh = Ledger::nothing_old_is_answered(load).await?;

    progress.say("measuring what HTTP takes without a service");
    let (http, _) = load
        .run(Job::Nothing, Route::Plain, 64, plan.duration / 2)
        .await?;
    let checks = vec![
        ledger.every_request_succeeded(),
        checks::every_plain_request_is_a_query(reads.measured.iter().chain(&writes.measured)),
        saved,
        right,
        fresh,
    ];
    Ok(Report {
        setting,
        reads,
        writes,
        http,
        checks,
    })
}

/// Both routes take turns, so that both find the machine in the same mood.
async fn measure(
    load: &Load<'_>,
    plan: Plan,
    job: Job,
    ledger: &mut Ledger,
) -> anyhow::Result<Measurements> {
    load.progress.print(&report::head(job))?;
    // Connections open, statements are prepared, caches fill: none of it in the first measurement.
    let (_, replies) = load.run(job, Route::Plain, 64, plan.duration / 10).await?;
    ledger.enter(Route::Plain, replies);

    let mut measurements = Measurements::new(job);
    for &callers in plan.callers {
        for route in Route::BOTH {
            let (measured, replies) = load.run(job, route, callers, plan.duration).await?;
            load.progress.print(&report::row(&measured))?;
            ledger.enter(route, replies);
            measurements.measured.push(measured);
        }
    }
    for route in Route::BOTH {
        let repeats = match route {
            // Without piggyback nothing depends on chance.
            Route::Plain => 1,
            Route::Piggyback => plan.repeats,
        };
        let (bursts, replies) = load.bursts(job, route, plan.largest_burst, repeats).await?;
        ledger.enter(route, replies);
        measurements.bursts.push((route, bursts));
    }
    Ok(measurements)
}
