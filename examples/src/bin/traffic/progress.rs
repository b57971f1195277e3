//! The line that moves while a measurement runs. There is none if nobody watches.

use std::{
    borrow::Cow,
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
        let style = ProgressStyle::with_template("{spinner} {elapsed:>3}  {msg}  {human_pos}");
        let line = ProgressBar::new_spinner().with_style(style.expect("a valid template"));
        line.enable_steady_tick(Duration::from_millis(100));
        Self { line }
    }

    pub(crate) fn say(&self, what: impl Into<Cow<'static, str>>) {
        self.line.set_position(0);
        self.line.set_message(what);
    }

    pub(crate) fn run(&self, route: Route, callers: usize) {
        self.say(format!("{}, {callers} callers, requests:", route.name()));
    }

    pub(crate) fn burst(&self, route: Route, calls: usize) {
        self.say(format!("{}, bursts of requests:", route.name()));
        self.line.set_position(calls as u64);
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
}
