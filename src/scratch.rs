//! Directories for the unit tests.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use crate::sync::{AtomicU64, Ordering};

/// A directory that is removed when its test, and so the test's thread, has ended.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A new directory for a test, by its real path. `name` says what it is for.
pub fn directory(name: &str) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    thread_local!(static MADE: RefCell<Vec<Scratch>> = const { RefCell::new(Vec::new()) });
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("octostore-unit-{}-{count}-{name}", std::process::id()));
    fs::create_dir(&path).unwrap();
    MADE.with_borrow_mut(|made| made.push(Scratch(path.clone())));
    fs::canonicalize(path).unwrap()
}
