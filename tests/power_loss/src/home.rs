//! The real files, which are what a running process sees: a directory for each seed or scenario.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::story::note;
use crate::vfs;

/// Makes the directory hold these files and no others.
pub fn write_down(home: &Path, content: &BTreeMap<PathBuf, Vec<u8>>) {
    for file in fs::read_dir(home).expect("the home") {
        fs::remove_file(file.expect("a file").path()).expect("a file can be removed");
    }
    for (path, bytes) in content {
        note(|| format!("left is {}, {} bytes", path.display(), bytes.len()));
        fs::write(path, bytes).expect("a file can be written");
    }
}

/// A directory, in memory where there is one. It is gone with this, and so is this thread's disk.
pub struct Home(pub PathBuf);

impl Home {
    /// A new one, empty.
    #[expect(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Home {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let name = format!("octostore-power-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(name);
        fs::create_dir(&path).expect("a new directory");
        Home(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        vfs::insert(None);
        let _ = fs::remove_dir_all(&self.0);
    }
}
