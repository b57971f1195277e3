//! The lab: the figures of the article, to be changed by hand. Two services get the same requests, one plain and one with
//! the attributes, and a page shows both while you move its sliders.
//!
//! ```sh
//! cargo run --release -p piggyback-examples --bin lab
//! ```
//!
//! With `--check`, a headless Chromium opens the page, moves its sliders and looks at the curves; `--screenshots FOLDER` also
//! keeps pictures of it. Without a browser, the check says so and ends.

mod browser;
mod database;
mod service;
mod settings;
mod traffic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Parser;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use settings::{SETTINGS, Values};
use traffic::{Lab, Tick};

#[derive(Parser)]
struct Options {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:3210")]
    listen: SocketAddr,
    /// Test the page in a headless Chromium, and end
    #[arg(long)]
    check: bool,
    /// With --check: a folder for screenshots
    #[arg(long, value_name = "FOLDER", requires = "check")]
    screenshots: Option<PathBuf>,
}

#[derive(Clone)]
struct App {
    lab: Arc<Lab>,
    /// The result of the test in the browser.
    tested: mpsc::Sender<Result<String, String>>,
}

/// An answer to the page: the settings, and the ticks that it does not have yet.
#[derive(Serialize)]
struct News {
    settings: Values,
    paused: bool,
    ticks: Vec<Tick>,
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn news(State(app): State<App>, Query(Since { since }): Query<Since>) -> Json<News> {
    Json(News {
        settings: SETTINGS.values(),
        paused: app.lab.is_paused(),
        ticks: app.lab.ticks_since(since),
    })
}

async fn set(Json(values): Json<Values>) -> StatusCode {
    SETTINGS.set(&values);
    StatusCode::NO_CONTENT
}

/// A button of the page. The answer says what it did.
async fn press(State(app): State<App>, Path(button): Path<String>) -> impl IntoResponse {
    match button.as_str() {
        "drop" => (StatusCode::OK, app.lab.drop_leaders()),
        "pause" => (StatusCode::OK, app.lab.pause()),
        "bad" => (StatusCode::OK, app.lab.one_bad_row()),
        _ => (StatusCode::NOT_FOUND, "There is no such button.".into()),
    }
}

async fn tested(State(app): State<App>, failure: String) -> StatusCode {
    let result = match failure.strip_prefix("ok: ") {
        Some(what) => Ok(what.to_owned()),
        None => Err(failure),
    };
    // The check waits for the first result only.
    let _ = app.tested.try_send(result);
    StatusCode::NO_CONTENT
}

fn routes(app: App) -> Router {
    let page = || async {
        (
            [(CONTENT_TYPE, "text/html; charset=utf-8")],
            include_str!("page.html"),
        )
    };
    let test = || async { ([(CONTENT_TYPE, "text/javascript")], include_str!("test.js")) };
    Router::new()
        .route("/", get(page))
        .route("/test.js", get(test))
        .route("/news", get(news))
        .route("/settings", post(set))
        .route("/press/{button}", post(press))
        .route("/tested", post(tested))
        .with_state(app)
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
    let browser = browser::find();
    if options.check && browser.is_none() {
        println!("skipped: no Chromium or Chrome found (set CHROME to its path)");
        return Ok(());
    }
    let address = if options.check {
        SocketAddr::from(([127, 0, 0, 1], 0))
    } else {
        options.listen
    };
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let (sender, results) = mpsc::channel(1);
    let app = App {
        lab: Lab::start(),
        tested: sender,
    };
    let server = axum::serve(listener, routes(app));
    if let (true, Some(browser)) = (options.check, browser) {
        tokio::spawn(server.into_future());
        return browser::check(&browser, address, results, options.screenshots.as_deref()).await;
    }
    println!("http://{address}");
    server.await?;
    Ok(())
}
