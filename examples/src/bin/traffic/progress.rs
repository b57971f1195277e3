//! How far the run is: a moving line on a terminal, and lines that stay with what was measured, also in a file or a pipe.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

#[derive(Debug, Clone)]
pub(crate) struct Progress {
    line: ProgressBar,
}

impl Progress {
    /// For a run of `steps` steps.
    pub(crate) fn new(steps: usize) -> Self {
        let line = ProgressBar::new(steps as u64);
        let template = "{elapsed:>4} {bar:24} {pos} of {len}  {msg}";
        line.set_style(ProgressStyle::with_template(template).expect("a valid template"));
        line.enable_steady_tick(Duration::from_millis(100));
        Self { line }
    }

    /// The next step begins.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.line.set_message(what.into());
    }

    /// A step is done, with this result.
    pub(crate) fn done(&self, result: &str) {
        self.line.inc(1);
        let (position, steps) = (self.line.position(), self.line.length().unwrap_or(0));
        let elapsed = self.line.elapsed().as_secs();
        // On standard error, so that a pipe gets the report alone.
        self.line
            .suspend(|| eprintln!("{elapsed:>4} s  {position:>2} of {steps}  {result}"));
    }

    /// Prints a part of the report.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        self.line.suspend(|| writeln!(io::stdout(), "{text}"))
    }

    pub(crate) fn end(&self) {
        self.line.finish_and_clear();
    }
}
