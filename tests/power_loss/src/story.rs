//! What happens, told on stderr: for whoever plays one seed to see why it fails.

use std::sync::atomic::{AtomicBool, Ordering};

static TOLD: AtomicBool = AtomicBool::new(false);

/// Tells it from here on.
pub fn tell() {
    TOLD.store(true, Ordering::Relaxed);
}

/// Notes what happens.
pub fn note(what: impl FnOnce() -> String) {
    if TOLD.load(Ordering::Relaxed) {
        eprintln!("{}", what());
    }
}
