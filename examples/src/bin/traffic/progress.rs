//! The line that moves while a measurement runs. There is none if nobody watches.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::client::Route;

#[derive(Debug, Clone)]
pub(crate) struct Progress {
    line: ProgressBar,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let line = ProgressBar::new_spinner();
        line.enable_steady_tick(Duration::from_millis(100));
        Self { line }
    }

    pub(crate) fn say(&self, what: &'static str) {
        self.show("{spinner} {elapsed:>3}  {msg}", what.into());
    }

    pub(crate) fn run(&self, route: Route, callers: usize) {
        let what = format!("{}, callers: {callers}", route.name());
        self.show("{spinner} {elapsed:>3}  {msg}, requests: {human_pos}", what);
    }

    pub(crate) fn bursts(&self, route: Route) {
        let what = format!("{}, bursts", route.name());
        self.show("{spinner} {elapsed:>3}  {msg}, requests: {human_pos}", what);
    }

    pub(crate) fn reply(&self) {
        self.line.inc(1);
    }

    /// Prints something that stays.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        self.line.suspend(|| writeln!(io::stdout(), "{text}"))
    }

    pub(crate) fn end(&self) {
        self.line.finish_and_clear();
    }

    fn show(&self, template: &str, what: String) {
        let style = ProgressStyle::with_template(template).expect("a valid template");
        self.line.set_style(style);
        self.line.set_position(0);
        self.line.set_message(what);
    }
}
