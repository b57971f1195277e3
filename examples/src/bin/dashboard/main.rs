//! A service that is watched: what its functions do, as metrics for Prometheus and a dashboard for Grafana.
//!
//! ```sh
//! cargo run -p piggyback-examples --features dashboard --bin dashboard
//! ```
//!
//! Have Prometheus scrape `http://127.0.0.1:3000/metrics`, and import `examples/dashboard/grafana.json` into Grafana
//! (Dashboards → New → Import). With `--check` the service calls itself, looks whether it tells all that the dashboard asks
//! for, and ends.

mod check;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use clap::Parser;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use piggyback::{batch, dedup};
use tokio::net::TcpListener;
use tokio::time::sleep;

#[derive(Parser)]
struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Call every route, see that each metric of the dashboard is there, and end.
    #[arg(long)]
    check: bool,
}

/// What a database would do.
#[dedup(name = "users.find")]
async fn user(id: u64) -> String {
    sleep(Duration::from_millis(20)).await;
    format!("user {id}")
}

#[batch(size = 20, delay_ms = 10, name = "events.record")]
async fn record(events: Vec<String>) {
    sleep(Duration::from_millis(5)).await;
    drop(events);
}

/// A recorder with buckets: quantiles over several instances can be made of these, and of summaries not.
fn recorder() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    const ITEMS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
    const SECONDS: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("piggyback_batch_size".into()), &ITEMS)?
        .set_buckets_for_metric(Matcher::Full("piggyback_wait_seconds".into()), &SECONDS)?
        .install_recorder()
}

fn service(metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/users/{id}", get(|Path(id): Path<u64>| user(id)))
        .route("/events", post(|event: String| record(event)))
        .route(
            "/metrics",
            get(|State(metrics): State<PrometheusHandle>| async move { metrics.render() }),
        )
        .with_state(metrics)
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> anyhow::Result<()> {
    // Before the first call, so that it is counted.
    let metrics = recorder()?;
    // Old samples of histograms are put into their buckets when somebody scrapes, or here.
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    let address = if options.check {
        SocketAddr::from(([127, 0, 0, 1], 0))
    } else {
        options.listen
    };
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let server = axum::serve(listener, service(metrics));
    if options.check {
        tokio::spawn(server.into_future());
        return check::run(address).await;
    }
    println!("http://{address}/users/1, POST http://{address}/events, http://{address}/metrics");
    server.await?;
    Ok(())
}
