//! The server's process, if it runs on this machine: its processor time and its memory, from /proc.

use std::fs;
use std::net::SocketAddr;

/// Where a server that was started in this directory leaves its pid.
const LOCK_FILE: &str = "octostore.db.lock";

/// A process on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    pid: u32,
}

impl Server {
    /// The process `pid`, or else, for an address of this machine, the one that the lock file in this directory names.
    ///
    /// # Errors
    /// There is no process `pid`.
    pub fn find(pid: Option<u32>, address: SocketAddr) -> Result<Option<Server>, String> {
        if let Some(pid) = pid {
            let server = Server { pid };
            return server.cpu_seconds().map(|_| Some(server)).ok_or_else(|| format!("--pid {pid}: no such process"));
        }
        if !address.ip().is_loopback() {
            return Ok(None);
        }
        let named = fs::read_to_string(LOCK_FILE).ok().and_then(|text| text.trim().parse().ok());
        Ok(named.map(|pid| Server { pid }).filter(Server::is_octostore))
    }

    /// User and system time of all its threads so far, in seconds.
    pub fn cpu_seconds(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // The second field is the name, in parentheses, and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Its resident memory, in bytes.
    pub fn memory_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1024)
    }

    fn is_octostore(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).is_ok_and(|name| name.trim() == "octostore")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_time_and_memory_and_none_has_not() {
        let here = SocketAddr::from(([127, 0, 0, 1], 1));
        let own = Server::find(Some(std::process::id()), here).expect("this process").expect("this process");
        assert!(own.cpu_seconds().is_some_and(|seconds| seconds >= 0.0));
        assert!(own.memory_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(Server::find(Some(u32::MAX), here).is_err());
    }
}
