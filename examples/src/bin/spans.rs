//! Executions as OpenTelemetry spans: each is the child of one caller's span and linked to all others'.
//!
//! ```sh
//! cargo run -p piggyback-examples --features spans --bin spans
//! ```
//!
//! Every request below is a trace of its own, as behind a load balancer. A query that serves five of them can be the child
//! of only one; the links name the others. The program fails if a link is missing. With the name of a file, it also draws
//! the spans there, as SVG.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanId, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use piggyback::{batch, dedup};
use tokio::time::sleep;
use tracing::{Instrument as _, Span, field, info_span, instrument};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

#[dedup]
async fn user(id: u64) -> String {
    query("SELECT name FROM users WHERE id = $1").await;
    format!("user {id}")
}

/// The same as a task, which outlives the request that began it.
#[dedup(spawn)]
async fn report(year: u32) -> String {
    query("SELECT sum(amount) FROM orders WHERE year = $1").await;
    format!("report of {year}")
}

#[batch(size = 4, delay_ms = 5)]
async fn record(events: Vec<String>) {
    query("INSERT INTO events SELECT * FROM unnest($1)").await;
    drop(events);
}

#[instrument(fields(otel.kind = "client"))]
async fn query(sql: &str) {
    sleep(Duration::from_millis(10)).await;
}

/// A request, in its span.
fn request(name: String) -> Span {
    info_span!(
        "request",
        otel.name = name,
        otel.kind = "server",
        answer = field::Empty
    )
}

async fn traffic() {
    let reads = (1..=5).map(|n| {
        let get = async {
            let answer = user(7).await;
            Span::current().record("answer", answer);
        };
        tokio::spawn(get.instrument(request(format!("GET /users/7 #{n}"))))
    });
    let reports = (1..=3).map(|n| {
        let get = async {
            let answer = report(2026).await;
            Span::current().record("answer", answer);
        };
        tokio::spawn(get.instrument(request(format!("GET /reports/2026 #{n}"))))
    });
    let writes = (1..=6).map(|n| {
        let post = async move { record(format!("event {n}")).await };
        tokio::spawn(post.instrument(request(format!("POST /events #{n}"))))
    });
    // All begin before any is waited for.
    let all: Vec<_> = reads.chain(reports).chain(writes).collect();
    for request in all {
        request.await.expect("no request panics");
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("spans"))
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    tracing_subscriber::registry().with(layer).init();

    traffic().await;

    let mut spans = exporter.get_finished_spans().expect("it was not shut down");
    spans.sort_by_key(|span| span.start_time);
    let exported = Exported::new(&spans);
    exported.print();
    if let Some(file) = std::env::args_os().nth(1) {
        std::fs::write(&file, exported.picture()).expect("the picture is written");
    }
    match exported.check() {
        Ok(checked) => {
            println!("\n{checked}");
            ExitCode::SUCCESS
        }
        Err(missing) => {
            eprintln!("\nerror: {missing}");
            ExitCode::FAILURE
        }
    }
}

/// The spans as a collector gets them.
struct Exported<'a> {
    spans: &'a [SpanData],
    by_id: HashMap<SpanId, &'a SpanData>,
}

impl<'a> Exported<'a> {
    fn new(spans: &'a [SpanData]) -> Self {
        let by_id = spans.iter().map(|span| (span.span_context.span_id(), span));
        Self {
            spans,
            by_id: by_id.collect(),
        }
    }

    fn print(&self) {
        let roots = self
            .spans
            .iter()
            .filter(|span| span.parent_span_id == SpanId::INVALID);
        for root in roots {
            self.print_below(root, 0);
        }
    }

    fn print_below(&self, span: &SpanData, depth: usize) {
        let indent = "   ".repeat(depth);
        let attributes: Vec<_> = span
            .attributes
            .iter()
            .map(|attribute| format!("{}={}", attribute.key, attribute.value))
            .collect();
        println!("{indent}{}  {}", span.name, attributes.join(" "));
        let mut links = self.links(span);
        links.sort_unstable();
        for link in links {
            println!("{indent} ↳ serves {link}");
        }
        let id = span.span_context.span_id();
        for child in self.spans.iter().filter(|child| child.parent_span_id == id) {
            self.print_below(child, depth + 1);
        }
    }

    /// The requests for users: a bar per span, the query below the execution, and an arrow from the execution to each
    /// request that it serves.
    fn picture(&self) -> String {
        const WIDTH: f64 = 640.0;
        const ROW: f64 = 26.0;
        const LEFT: f64 = 150.0;
        const TOP: f64 = 46.0;

        let mut rows = Vec::new();
        let reads = |span: &&SpanData| span.name.starts_with("GET /users");
        for root in self.spans.iter().filter(reads) {
            self.rows_below(root, &mut rows);
        }
        let times = |read: fn(&SpanData) -> SystemTime| rows.iter().map(move |span| read(span));
        let start = times(|span| span.start_time).min().expect("a span");
        let end = times(|span| span.end_time).max().expect("a span");
        let whole = end.duration_since(start).unwrap_or_default().as_secs_f64();
        let x = |time: SystemTime| {
            let since = time.duration_since(start).unwrap_or_default();
            LEFT + since.as_secs_f64() / whole * (WIDTH - LEFT - 76.0)
        };
        let y = |row: usize| TOP + row as f64 * ROW;
        let row_of = |id| rows.iter().position(|s| s.span_context.span_id() == id);

        let height = y(rows.len()) + 14.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             aria-label=\"Five requests, one execution, and its links\" font-size=\"13\" \
             font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n\
             <text x=\"12\" y=\"24\" font-size=\"15\" font-weight=\"600\" fill=\"#1b1f24\">Five traces, one \
             execution: its span links to the requests that it serves</text>\n"
        );
        for (row, span) in rows.iter().enumerate() {
            let depth = match &*span.name {
                "dedup" => 14.0,
                "query" => 28.0,
                _ => 0.0,
            };
            let colour = if depth > 0.0 { "#0b6fa4" } else { "#c2560c" };
            let (from, to) = (x(span.start_time), x(span.end_time));
            let took = span.end_time.duration_since(span.start_time);
            let ms = took.unwrap_or_default().as_secs_f64() * 1e3;
            let (text, bar, width) = (y(row) + 16.0, y(row) + 6.0, (to - from).max(2.0));
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{text}\" fill=\"#1b1f24\">{}</text>\n\
                 <rect x=\"{from:.1}\" y=\"{bar}\" width=\"{width:.1}\" height=\"14\" rx=\"3\" fill=\"{colour}\"/>\n\
                 <text x=\"{:.1}\" y=\"{text}\" fill=\"#5c6670\">{ms:.1} ms</text>",
                12.0 + depth,
                span.name,
                to + 8.0
            );
        }
        for (row, span) in rows.iter().enumerate() {
            let links = span.links.iter();
            for to in links.filter_map(|link| row_of(link.span_context.span_id())) {
                let (from_x, from_y) = (x(span.start_time), y(row) + 13.0);
                let (to_x, to_y) = (x(rows[to].start_time), y(to) + 13.0);
                let bend = LEFT - 12.0 - (to as f64 - row as f64).abs() * 3.0;
                let _ = writeln!(
                    svg,
                    "<path d=\"M{from_x:.1} {from_y}C{bend} {from_y} {bend} {to_y} {to_x:.1} {to_y}\" fill=\"none\" \
                     stroke=\"#7c3aed\" stroke-width=\"1.5\" stroke-dasharray=\"4 3\"/>\n\
                     <circle cx=\"{to_x:.1}\" cy=\"{to_y}\" r=\"3.5\" fill=\"#7c3aed\"/>"
                );
            }
        }
        svg + "</svg>\n"
    }

    fn rows_below(&self, span: &'a SpanData, rows: &mut Vec<&'a SpanData>) {
        rows.push(span);
        let id = span.span_context.span_id();
        for child in self.spans.iter().filter(|child| child.parent_span_id == id) {
            self.rows_below(child, rows);
        }
    }

    /// The names of the spans that it is linked to.
    fn links(&self, span: &SpanData) -> Vec<&'a str> {
        let links = span.links.iter().map(|link| link.span_context.span_id());
        links.filter_map(|id| self.name(id)).collect()
    }

    fn name(&self, id: SpanId) -> Option<&'a str> {
        self.by_id.get(&id).map(|span| &*span.name)
    }

    /// Whether each request has its execution: the one in it, or one that is linked to it.
    fn check(&self) -> Result<String, String> {
        let executions = self
            .spans
            .iter()
            .filter(|span| ["batch", "dedup"].contains(&&*span.name));
        let mut served = BTreeSet::new();
        let (mut count, mut links) = (0, 0);
        for execution in executions {
            let callers = execution
                .attributes
                .iter()
                .find(|attribute| attribute.key.as_str() == "callers")
                .map(|attribute| attribute.value.to_string());
            let mut all = self.links(execution);
            links += all.len();
            all.extend(self.name(execution.parent_span_id));
            if callers != Some(all.len().to_string()) {
                return Err(format!(
                    "a `{}` span says {callers:?} callers, and has {all:?}",
                    execution.name
                ));
            }
            served.extend(all);
            count += 1;
        }
        let requests: BTreeSet<_> = self
            .spans
            .iter()
            .filter(|span| span.parent_span_id == SpanId::INVALID)
            .map(|span| &*span.name)
            .collect();
        if requests.len() != 14 || served != requests {
            let alone: Vec<_> = requests.difference(&served).collect();
            return Err(format!(
                "of {} requests, no execution serves {alone:?}",
                requests.len()
            ));
        }
        Ok(format!(
            "{} requests, {count} executions, {links} links: all are there",
            requests.len()
        ))
    }
}
