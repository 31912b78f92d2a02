//! The last things that happened, for whoever looks at a failure. Off unless a seed is replayed: writing takes longer than running.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::clock;

thread_local! {
    static KEEP: Cell<usize> = const { Cell::new(0) };
    static LINES: RefCell<VecDeque<String>> = const { RefCell::new(VecDeque::new()) };
}

/// Keeps the last so many lines from here on; 0 for none.
pub fn keep(lines: usize) {
    KEEP.set(lines);
    LINES.with_borrow_mut(VecDeque::clear);
}

/// Notes what happens.
pub fn note(what: impl FnOnce() -> String) {
    if KEEP.get() > 0 {
        LINES.with_borrow_mut(|lines| {
            if lines.len() == KEEP.get() {
                lines.pop_front();
            }
            lines.push_back(format!("{:>12.6} s  {}", clock::peek_ns() as f64 / 1e9, what()));
        });
    }
}

/// The lines kept.
pub fn lines() -> Vec<String> {
    LINES.with_borrow(|lines| lines.iter().cloned().collect())
}
