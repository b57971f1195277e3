//! What happens when calls arrive at twice the rate that a database can serve: without a limit, and with one.
//!
//! ```sh
//! cargo run --example overload                # six seconds of real time
//! cargo run --example overload -- --check     # on a simulated clock, and fails if a figure is wrong
//! cargo run --example overload -- --pictures docs/pictures
//! ```
//!
//! Calls arrive at a fixed rate, whether earlier ones were answered or not, and give up after 300 ms. The database has 2
//! connections. A statement takes 100 ms and saves up to 50 rows, so it serves 1,000 rows per second. For a second it gets half
//! of that, for three seconds twice as much, and then half again.

use std::error::Error;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use std::{env, fs};

use piggyback::batch;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const CONNECTIONS: usize = 2;
const SIZE: usize = 50;
const STATEMENT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_millis(300);
/// Rows per second.
const CAPACITY: usize = CONNECTIONS * SIZE * 10;

/// When the overload starts, when it ends, and when all ends.
const STARTS: Duration = Duration::from_secs(1);
const ENDS: Duration = Duration::from_secs(4);
const OVER: Duration = Duration::from_secs(6);

/// A call was refused.
#[derive(Debug, Clone, Copy)]
struct Busy;

/// A row of 1 KiB, and a count of those that are in memory.
struct Row {
    _bytes: Vec<u8>,
    held: &'static AtomicUsize,
}

impl Row {
    fn new(held: &'static AtomicUsize) -> Self {
        held.fetch_add(1, Relaxed);
        let _bytes = vec![0; 1024];
        Self { _bytes, held }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Relaxed);
    }
}

/// Each variant has a database of its own.
static PLAIN: Semaphore = Semaphore::const_new(CONNECTIONS);
static BATCH: Semaphore = Semaphore::const_new(CONNECTIONS);
static QUEUE: Semaphore = Semaphore::const_new(CONNECTIONS);
static REFUSING: Semaphore = Semaphore::const_new(CONNECTIONS);
static LIMITED: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(CONNECTIONS)));

/// One statement, on one of the connections.
async fn statement(connections: &Semaphore, rows: &[Row]) -> Result<(), Busy> {
    assert!(rows.len() <= SIZE);
    let _connection = connections.acquire().await;
    sleep(STATEMENT).await;
    Ok(())
}

async fn plain(row: Row) -> Result<(), Busy> {
    statement(&PLAIN, &[row]).await
}

#[batch(size = SIZE, eager)]
async fn without_limit(rows: Vec<Row>) -> Result<(), Busy> {
    statement(&BATCH, &rows).await
}

#[batch(size = SIZE, eager, concurrency = CONNECTIONS)]
async fn with_queue(rows: Vec<Row>) -> Result<(), Busy> {
    statement(&QUEUE, &rows).await
}

#[batch(size = SIZE, eager, concurrency = CONNECTIONS, max_waiting = 100, busy = Busy)]
async fn with_max_waiting(rows: Vec<Row>) -> Result<(), Busy> {
    statement(&REFUSING, &rows).await
}

/// A bulk call takes a permit before it starts: of as many as there are connections.
#[batch(size = SIZE, eager, limit = LIMITED, max_waiting = 100, busy = Busy)]
async fn with_limit(rows: Vec<Row>) -> Result<(), Busy> {
    assert!(rows.len() <= SIZE);
    sleep(STATEMENT).await;
    Ok(())
}

type Saved = Pin<Box<dyn Future<Output = Result<(), Busy>> + Send>>;

struct Variant {
    name: &'static str,
    save: fn(Row) -> Saved,
    held: &'static AtomicUsize,
    refuses: bool,
}

macro_rules! variant {
    ($name:expr, $save:ident, $refuses:expr) => {{
        static HELD: AtomicUsize = AtomicUsize::new(0);
        Variant {
            name: $name,
            save: |row| Box::pin($save(row)),
            held: &HELD,
            refuses: $refuses,
        }
    }};
}

fn variants() -> [Variant; 5] {
    [
        variant!("plain", plain, false),
        variant!("#[batch]", without_limit, false),
        variant!("concurrency", with_queue, false),
        variant!("concurrency, max_waiting", with_max_waiting, true),
        variant!("limit, max_waiting", with_limit, true),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Saved,
    Busy,
    TimedOut,
}

/// A call: when it arrived, when it was answered, and how.
struct Call {
    came: Duration,
    ended: Duration,
    answer: Answer,
}

/// What happened to a variant: its calls, and the rows in memory at each 50 ms.
struct Run {
    name: &'static str,
    refuses: bool,
    calls: Vec<Call>,
    held: Vec<usize>,
}

async fn run(variant: Variant, start: Instant) -> Run {
    let Variant {
        name,
        save,
        held,
        refuses,
    } = variant;
    let watch = tokio::spawn(async move {
        let mut seen = Vec::new();
        while start.elapsed() < OVER {
            seen.push(held.load(Relaxed));
            sleep(Duration::from_millis(50)).await;
        }
        seen
    });
    let (mut calls, mut now) = (JoinSet::new(), Duration::ZERO);
    while now < OVER {
        sleep_until(start + now).await;
        let rate = if (STARTS..ENDS).contains(&now) {
            2 * CAPACITY
        } else {
            CAPACITY / 2
        };
        for _ in 0..rate / 500 {
            calls.spawn(async move {
                let came = start.elapsed();
                let answer = match timeout(PATIENCE, save(Row::new(held))).await {
                    Ok(Ok(())) => Answer::Saved,
                    Ok(Err(Busy)) => Answer::Busy,
                    Err(_) => Answer::TimedOut,
                };
                let ended = start.elapsed();
                Call {
                    came,
                    ended,
                    answer,
                }
            });
        }
        now += Duration::from_millis(2);
    }
    Run {
        name,
        refuses,
        calls: calls.join_all().await,
        held: watch.await.unwrap_or_default(),
    }
}

impl Run {
    fn count(&self, from: Duration, to: Duration, answer: Answer) -> usize {
        let calls = self.calls.iter().filter(|call| call.answer == answer);
        calls
            .filter(|call| (from..to).contains(&call.ended))
            .count()
    }

    /// Of the last two seconds of the overload, per second.
    fn late(&self, answer: Answer) -> usize {
        self.count(ENDS - Duration::from_secs(2), ENDS, answer) / 2
    }

    /// Answers in time, in percent of what the database can serve.
    fn goodput(&self) -> usize {
        100 * self.late(Answer::Saved) / CAPACITY
    }

    /// Milliseconds until a call that is saved is answered, for a share of those in the overload.
    fn quantile(&self, share: f64) -> Option<u128> {
        let saved = self
            .calls
            .iter()
            .filter(|call| call.answer == Answer::Saved && (STARTS..ENDS).contains(&call.came));
        let mut took: Vec<u128> = saved
            .map(|call| (call.ended - call.came).as_millis())
            .collect();
        took.sort_unstable();
        let at = (took.len() as f64 * share) as usize;
        took.get(at.min(took.len().saturating_sub(1))).copied()
    }

    /// How long after the overload the last call arrived that was not served.
    fn recovers(&self) -> Duration {
        let failed = self
            .calls
            .iter()
            .filter(|call| call.answer != Answer::Saved);
        let last = failed.map(|call| call.came).filter(|&came| came >= ENDS);
        last.max().map_or(Duration::ZERO, |last| last - ENDS)
    }

    fn most_held(&self) -> usize {
        self.held.iter().copied().max().unwrap_or_default()
    }

    /// What is promised: see the file's top.
    fn check(&self) -> Result<(), String> {
        let (goodput, recovers) = (self.goodput(), self.recovers());
        let is_right = if self.refuses {
            goodput >= 90 && recovers <= STATEMENT && self.most_held() <= 100 + CONNECTIONS * SIZE
        } else {
            goodput <= 10
        };
        match is_right {
            true => Ok(()),
            false => Err(format!(
                "{}: {goodput} % of the capacity, recovers after {recovers:?}, {} rows in memory",
                self.name,
                self.most_held()
            )),
        }
    }
}

fn table(runs: &[Run]) -> String {
    let mut table = String::new();
    let head = [
        "in time/s",
        "capacity",
        "p50",
        "p99",
        "busy/s",
        "timed out/s",
        "most rows",
        "recovers",
    ];
    let _ = write!(table, "{:<26}", "at twice the capacity");
    for head in head {
        let _ = write!(table, " {head:>11}");
    }
    for run in runs {
        let quantile = |share| match run.quantile(share) {
            Some(ms) if run.goodput() > 0 => format!("{ms} ms"),
            _ => "-".to_owned(),
        };
        let recovers = match run.recovers() {
            after if after + PATIENCE >= OVER - ENDS => "never".to_owned(),
            after => format!("{} ms", after.as_millis()),
        };
        let _ = write!(
            table,
            "\n{:<26} {:>11} {:>10}% {:>11} {:>11} {:>11} {:>11} {:>11} {recovers:>11}",
            run.name,
            run.late(Answer::Saved),
            run.goodput(),
            quantile(0.5),
            quantile(0.99),
            run.late(Answer::Busy),
            run.late(Answer::TimedOut),
            run.most_held(),
        );
    }
    table
}

/// Colours of a picture: background, text, lines of the grid, and the variants.
struct Colours([&'static str; 8]);

const LIGHT: Colours = Colours([
    "#ffffff", "#1b1f24", "#d8dee4", "#c2560c", "#8250df", "#9a6700", "#0b6fa4", "#1a7f37",
]);
const DARK: Colours = Colours([
    "#0d1117", "#e6edf3", "#30363d", "#f0883e", "#bc8cff", "#d29922", "#58a6ff", "#3fb950",
]);

fn picture(runs: &[Run], Colours([back, text, grid, lines @ ..]): &Colours) -> String {
    let [width, left, top, height] = [640.0, 56.0, 44.0, 200.0];
    let window = Duration::from_millis(100);
    let x = |at: Duration| left + (width - left - 16.0) * at.as_secs_f64() / OVER.as_secs_f64();
    let y = |rate: f64| top + height * (1.0 - rate / (1.2 * CAPACITY as f64));
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 380" role="img" aria-labelledby="t d" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif" font-size="13" fill="{text}">
<title id="t">Calls answered in time, before, during and after an overload</title>
<desc id="d">At twice the rate that the database can serve, calls without a limit on the queue are hardly ever answered in time. With max_waiting, as many are answered as the database can serve.</desc>
<rect width="640" height="380" rx="8" fill="{back}"/>
<text x="16" y="26" font-size="15" font-weight="600">Calls answered in time, per second</text>
<rect x="{:.0}" y="{top}" width="{:.0}" height="{height}" fill="{grid}" opacity="0.5"/>
<text x="{:.0}" y="{:.0}" text-anchor="middle">twice the capacity</text>
"#,
        x(STARTS),
        x(ENDS) - x(STARTS),
        (x(STARTS) + x(ENDS)) / 2.0,
        top + 16.0,
    );
    for rate in [0, CAPACITY / 2, CAPACITY] {
        let at = y(rate as f64);
        let _ = writeln!(
            svg,
            r#"<line x1="{left}" x2="624" y1="{at:.1}" y2="{at:.1}" stroke="{grid}"/><text x="{:.0}" y="{:.1}" text-anchor="end">{rate}</text>"#,
            left - 6.0,
            at + 4.0
        );
    }
    for second in 0..=OVER.as_secs() {
        let at = x(Duration::from_secs(second));
        let _ = writeln!(
            svg,
            r#"<text x="{at:.1}" y="{:.0}" text-anchor="middle">{second} s</text>"#,
            top + height + 18.0
        );
    }
    for (n, (run, colour)) in runs.iter().zip(lines).enumerate() {
        let mut points = String::new();
        let mut at = Duration::ZERO;
        while at + window <= OVER {
            let rate = run.count(at, at + window, Answer::Saved) as f64 / window.as_secs_f64();
            let _ = write!(points, "{:.1},{:.1} ", x(at + window / 2), y(rate));
            at += window;
        }
        let (column, row) = ((n % 2) as f64, (n / 2) as f64);
        let (left, top) = (left + 290.0 * column, top + height + 44.0 + 22.0 * row);
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>
<line x1="{left}" x2="{}" y1="{top}" y2="{top}" stroke="{colour}" stroke-width="3"/><text x="{}" y="{}">{}</text>"#,
            points.trim_end(),
            left + 24.0,
            left + 32.0,
            top + 4.0,
            run.name,
        );
    }
    svg += "</svg>\n";
    svg
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_check = arguments.iter().any(|argument| argument == "--check");
    let runtime = if is_check {
        Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()?
    } else {
        Builder::new_multi_thread().enable_all().build()?
    };
    let runs = runtime.block_on(async {
        let start = Instant::now();
        let runs = variants().map(|variant| tokio::spawn(run(variant, start)));
        let mut all = Vec::new();
        for run in runs {
            all.push(run.await?);
        }
        Ok::<_, tokio::task::JoinError>(all)
    })?;
    println!("{}", table(&runs));
    if let Some(at) = arguments
        .iter()
        .position(|argument| argument == "--pictures")
    {
        let folder = arguments.get(at + 1).ok_or("`--pictures` needs a folder")?;
        for (name, colours) in [("light", LIGHT), ("dark", DARK)] {
            fs::write(
                format!("{folder}/overload-{name}.svg"),
                picture(&runs, &colours),
            )?;
        }
    }
    if is_check {
        runs.iter().try_for_each(Run::check)?;
    }
    Ok(())
}
