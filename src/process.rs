//! What the system says of this process: the figures that every program's Prometheus page has, under their usual names.
//!
//! Read when asked, in a handful of system calls that touch no disk. What cannot be read is left out.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Resource, getrlimit};

use crate::clock;
use crate::metrics::{Page, Source};

/// The process, since its start.
#[derive(Debug)]
pub struct ThisProcess {
    /// On the wall clock, in seconds.
    started_s: f64,
}

impl ThisProcess {
    /// This process, which was started just now.
    pub fn started_just_now() -> ThisProcess {
        ThisProcess { started_s: clock::wall_ns() as f64 / 1e9 }
    }
}

impl Source for ThisProcess {
    fn collect(&self, page: &mut Page) {
        page.gauge("process_start_time_seconds", "When the process was started, since 1970.", self.started_s);
        let cpu_s = clock::process_cpu_ns() as f64 / 1e9;
        page.counter("process_cpu_seconds_total", "CPU time, user and system, of all threads.", cpu_s);
        if let Some(open) = open_descriptors() {
            page.gauge("process_open_fds", "Open descriptors.", open);
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            page.gauge("process_max_fds", "The most descriptors that may be open.", most);
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        if let Some(kib) = field("VmRSS:") {
            page.gauge("process_resident_memory_bytes", "Memory that is in use.", kib << 10);
        }
        if let Some(kib) = field("VmSize:") {
            page.gauge("process_virtual_memory_bytes", "Memory that is mapped.", kib << 10);
        }
        if let Some(threads) = field("Threads:") {
            page.gauge("process_threads", "Threads.", threads);
        }
    }
}

/// Since Linux 6.2 the size of the directory; before it is 0, and the entries are counted.
fn open_descriptors() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.size() {
        0 => Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1)), // the directory itself
        open => Some(open),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Reading;

    #[test]
    fn the_process_tells_its_cpu_memory_and_descriptors() {
        let file = fs::File::open("/proc/self/status").unwrap();
        let mut page = Page::new();
        ThisProcess::started_just_now().collect(&mut page);
        let reading = Reading::of(&page.into_text()).unwrap();
        drop(file);
        assert!(reading.get("process_start_time_seconds") > 1.7e9);
        assert!((1.0..1e6).contains(&reading.get("process_open_fds")));
        assert!(reading.get("process_open_fds") <= reading.get("process_max_fds"));
        assert!(reading.get("process_resident_memory_bytes") > 1e5);
        assert!(reading.get("process_virtual_memory_bytes") > reading.get("process_resident_memory_bytes"));
        assert!(reading.get("process_cpu_seconds_total") > 0.0);
        assert!(reading.get("process_threads") >= 1.0);
    }
}
