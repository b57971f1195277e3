//! Executions as OpenTelemetry spans: each is the child of one caller's span and linked to all others'.
//!
//! ```sh
//! cargo run -p piggyback-examples --features spans --bin spans
//! ```
//!
//! Every request below is a trace of its own, as it is behind a load balancer. A query that serves five of them can be the
//! child of only one; the links say whom else it served. Fails if a link is missing.

use std::collections::{BTreeSet, HashMap};
use std::process::ExitCode;
use std::time::Duration;

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

/// What a collector would have got.
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
