//! A progress bar for long work, on a terminal that shows nothing else.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::stream::file::{LineSource, ReadProgress};

/// How far a file is read.
pub struct Progress {
    bar: ProgressBar,
    read: ReadProgress,
}

impl Progress {
    /// A bar for a source; hidden unless standard error is a terminal and standard output is not.
    pub fn of(source: &LineSource) -> Progress {
        let read = source.progress();
        let shown = std::io::stderr().is_terminal() && !std::io::stdout().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(read.total_bytes, target);
        let template = "{wide_bar} {bytes}/{total_bytes} {msg} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar, read }
    }

    /// So many more events were judged.
    pub fn add(&self, events: usize) {
        if !self.bar.is_hidden() && events > 0 {
            self.bar.set_position(self.read.read_bytes());
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
