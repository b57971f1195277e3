//! 1,000 callers ask for the same row at the same moment: plain, and with `#[dedup]`. Then the caller that runs the query is
//! dropped, the query panics, and the caller that runs it is no longer polled. At last 1,000 callers save a row each: plain, and
//! with `#[batch]`.
//!
//! ```sh
//! cargo run --example stampede
//! ```
//!
//! The database is a pool of 100 connections and a query that takes 250 ms. The program fails if a count or an answer is wrong.

use std::error::Error;
use std::future::poll_fn;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, Instant};

use piggyback::{Failure, batch, dedup};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const CALLERS: usize = 1_000;

static CONNECTIONS: Semaphore = Semaphore::const_new(100);
static QUERIES: AtomicUsize = AtomicUsize::new(0);
static ROWS: AtomicUsize = AtomicUsize::new(0);

/// One round trip to the database, on one of its connections.
async fn query() {
    let _connection = CONNECTIONS.acquire().await.expect("the pool stays open");
    QUERIES.fetch_add(1, Relaxed);
    sleep(Duration::from_millis(250)).await;
}

async fn plain_user(id: u64) -> String {
    query().await;
    format!("user {id}")
}

/// The same function with the attribute.
#[dedup]
async fn user(id: u64) -> String {
    query().await;
    format!("user {id}")
}

/// With `failed`, callers get an error instead of a panic. With `spawn`, that includes the first caller.
#[dedup(spawn, failed = |failure: Failure| failure.to_string())]
async fn broken_user(id: u64) -> Result<String, String> {
    query().await;
    panic!("row {id} is corrupt")
}

async fn plain_save(name: String) {
    insert(&[name]).await;
}

/// With `eager`, a lone caller does not wait. Calls that come while a statement is running share the next one.
#[batch(size = 100, eager)]
async fn save(names: &[String]) {
    insert(names).await;
}

async fn insert(names: &[String]) {
    query().await;
    ROWS.fetch_add(names.len(), Relaxed);
}

/// Runs `call` in `callers` tasks, shows the number of queries while they run, and returns it with what the tasks returned.
async fn run<R: Send + 'static>(
    title: &str,
    callers: usize,
    call: impl AsyncFnOnce(usize, &mut JoinSet<R>),
) -> (usize, Vec<R>) {
    QUERIES.store(0, Relaxed);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    call(callers, &mut tasks).await;
    let mut answers = Vec::new();
    let mut line = Line::new(title);
    loop {
        match timeout(Duration::from_millis(20), tasks.join_next()).await {
            Ok(Some(Ok(answer))) => answers.push(answer),
            Ok(Some(Err(cancelled))) => assert!(cancelled.is_cancelled(), "{cancelled}"),
            Ok(None) => break,
            Err(_) => line.show(start, answers.len()),
        }
    }
    line.show(start, answers.len());
    line.end();
    (QUERIES.load(Relaxed), answers)
}

/// Counts up in place on a terminal. Elsewhere, only the last state is printed.
struct Line {
    title: String,
    text: String,
}

impl Line {
    fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            text: String::new(),
        }
    }

    fn show(&mut self, start: Instant, answers: usize) {
        let queries = QUERIES.load(Relaxed);
        let seconds = start.elapsed().as_secs_f64();
        self.text = format!(
            "{:<44} {queries:>5} queries {answers:>6} answers {seconds:>6.2} s",
            self.title
        );
        if stdout().is_terminal() {
            print!("\r{}", self.text);
            let _ = stdout().flush();
        }
    }

    fn end(&self) {
        let begin = if stdout().is_terminal() { "\r" } else { "" };
        println!("{begin}{}", self.text);
    }
}

fn check(what: &str, found: usize, expected: usize) -> Result<(), Box<dyn Error>> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: {found} instead of {expected}").into())
}

/// Waits until the first query has started, so that its caller is the leader.
async fn query_started() {
    while QUERIES.load(Relaxed) == 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{CALLERS} callers read the same row:");
    let (queries, answers) = run("plain", CALLERS, async |callers, tasks| {
        for _ in 0..callers {
            tasks.spawn(plain_user(7));
        }
    })
    .await;
    check("plain queries", queries, CALLERS)?;
    check("plain answers", answers.len(), CALLERS)?;

    let (queries, answers) = run("#[dedup]", CALLERS, async |callers, tasks| {
        for _ in 0..callers {
            tasks.spawn(user(7));
        }
    })
    .await;
    check("shared queries", queries, 1)?;
    check("shared answers", answers.len(), CALLERS)?;
    assert!(answers.iter().all(|answer| answer == "user 7"));

    println!("\n#[dedup], when things go wrong:");
    let (queries, answers) = run(
        "the first caller disconnects",
        CALLERS,
        async |callers, tasks| {
            let leader = tasks.spawn(user(8));
            query_started().await;
            for _ in 1..callers {
                tasks.spawn(user(8));
            }
            sleep(Duration::from_millis(50)).await;
            leader.abort();
        },
    )
    .await;
    // Exactly one of the others runs the query again.
    check("queries after the leader was dropped", queries, 2)?;
    check(
        "answers after the leader was dropped",
        answers.len(),
        CALLERS - 1,
    )?;

    let mut parked = pin!(user(9));
    let (queries, answers) = run(
        "the first caller is not polled",
        CALLERS,
        async |callers, tasks| {
            // As a `select!` does it that has gone on to another branch and keeps this future.
            poll_fn(|cx| {
                assert!(parked.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            for _ in 1..callers {
                tasks.spawn(user(9));
            }
        },
    )
    .await;
    // After at most 0.2 s beyond its wake-up, one of the others takes over.
    check("queries of a leader that is not polled", queries, 2)?;
    check(
        "answers of a leader that is not polled",
        answers.len(),
        CALLERS - 1,
    )?;
    assert_eq!(parked.await, "user 9");

    // The task's panic would print a message and a backtrace between our lines.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (queries, answers) = run("the query panics", CALLERS, async |callers, tasks| {
        for _ in 0..callers {
            tasks.spawn(broken_user(10));
        }
    })
    .await;
    std::panic::set_hook(hook);
    check("queries that panic", queries, 1)?;
    check("errors from the panic", answers.len(), CALLERS)?;
    let error = answers[0].as_ref().unwrap_err();
    assert!(answers.iter().all(|answer| answer.as_ref() == Err(error)));
    println!("  each caller got: {error}");

    println!("\n{CALLERS} callers save a row each:");
    let (queries, _) = run("plain", CALLERS, async |callers, tasks| {
        for caller in 0..callers {
            tasks.spawn(plain_save(format!("name {caller}")));
        }
    })
    .await;
    check("plain statements", queries, CALLERS)?;
    check("plain rows", ROWS.swap(0, Relaxed), CALLERS)?;

    let (queries, _) = run(
        "#[batch(size = 100, eager)]",
        CALLERS,
        async |callers, tasks| {
            for caller in 0..callers {
                tasks.spawn(save(format!("name {caller}")));
            }
        },
    )
    .await;
    // The first call, nine full batches, and the rest.
    check("shared statements", queries, 11)?;
    check("shared rows", ROWS.swap(0, Relaxed), CALLERS)?;

    println!("\nA lone caller:");
    run("plain", 1, async |_, tasks| {
        tasks.spawn(plain_save("Ada".to_owned()));
    })
    .await;
    let (queries, _) = run("#[batch(size = 100, eager)]", 1, async |_, tasks| {
        tasks.spawn(save("Ada".to_owned()));
    })
    .await;
    check("statements of a lone caller", queries, 1)?;
    Ok(())
}
