//! Integration tests of `piggyback`: see `tests/` and `ui/` beside this folder. What several of them need is here.

pub mod by_hand;
pub mod fresh;

/// Says that a test is skipped, and why: past the harness, which keeps what a passing test prints to itself.
pub fn skipped(why: &str) {
    use std::io::Write;
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}
