//! A line on the terminal that says how far something is.

use std::io::{IsTerminal, Write, stderr};

use crate::journal::Pages;

/// Shows pages done of all, on stderr, if that is a terminal; in a log or a mail it would be noise.
pub struct Progress {
    doing: &'static str,
    shown: Option<u64>,
    is_terminal: bool,
}

impl Progress {
    /// Nothing is shown yet. `doing` stands before the figures.
    pub fn new(doing: &'static str) -> Progress {
        Progress { doing, shown: None, is_terminal: stderr().is_terminal() }
    }

    /// So far it is now.
    pub fn show(&mut self, Pages { done, total }: Pages) {
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        if self.is_terminal && self.shown != Some(percent) {
            self.shown = Some(percent);
            let _ = write!(stderr(), "\r{}: {percent} % ({done} of {total} pages)\x1b[K", self.doing);
        }
    }

    /// What comes next, or was it: takes the line's place.
    pub fn say(&mut self, text: &str) {
        if self.is_terminal {
            self.shown = None;
            let _ = write!(stderr(), "\r{text}\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
