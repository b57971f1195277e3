//! What it costs and saves to share executions across processes, beside other ways to do it.
//!
//! ```sh
//! cargo run --release --manifest-path benches/fleet/Cargo.toml             # writes the table in redis/README.md
//! cargo run --release --manifest-path benches/fleet/Cargo.toml -- --print  # only prints it
//! ```
//!
//! Starts a redis-server of its own for each contender, and eight processes: this program again. In a round, 64 tasks of each process
//! call the same function with the same key at the same moment. It takes about two minutes.

mod contenders;
mod measure;
mod processes;
mod report;

fn main() {
    if let Ok(mode) = std::env::var("FLEET_MODE") {
        contenders::run(&mode);
        return;
    }
    let figures = measure::all();
    let text = report::text(&figures);
    println!("{text}");
    if !std::env::args().any(|argument| argument == "--print") {
        report::write(&text);
    }
}
