//! The systemd unit: systemd reads it, its exposure is low, and the system calls that it allows are enough.
//!
//! No booted systemd is needed: `systemd-analyze` judges files, and expands the sets of system calls, of which a seccomp
//! filter is made here as systemd would make it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::str::FromStr;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use serde_json::json;
use syscalls::Sysno;

use super::{flags, octostore, project, project_text, said};
use crate::common::options::text;
use crate::common::{Driver, Home, Options, Server, request};

const UNIT: &str = "packaging/systemd/octostore.service";
const EPERM: u32 = 1;

/// The most that systemd may think the service is exposed, in tenths: 0 is none, 100 all.
const EXPOSURE: &str = "15";

/// The values of a key, in their order.
fn values(key: &str) -> Vec<String> {
    let unit = project_text(UNIT);
    unit.lines().filter_map(|line| line.strip_prefix(&format!("{key}="))).map(str::to_owned).collect()
}

#[test]
fn systemd_finds_no_fault_with_the_unit() {
    let home = Home::new();
    // The program and its manual are not installed here.
    let unit = project_text(UNIT).replace("/usr/bin/octostore", env!("CARGO_BIN_EXE_octostore"));
    let unit = unit.replace("Documentation=man:octostore(1)\n", "");
    let file = home.file("octostore.service");
    fs::write(&file, unit).expect("the unit");
    let verified = Command::new("systemd-analyze").args(["verify", text(&file)]).output();
    let verified = verified.expect("systemd-analyze (the package systemd) is needed");
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !said.contains("octostore.service"), "{said}");
}

#[test]
fn the_services_exposure_is_low() {
    let unit = project(UNIT);
    let threshold = format!("--threshold={EXPOSURE}");
    let args = ["security", "--no-pager", "--offline=true", &threshold, text(&unit)];
    let judged = said(Command::new("systemd-analyze").args(args));
    assert!(judged.contains("Overall exposure level for octostore.service"), "{judged}");
}

#[test]
fn the_unit_runs_the_server_that_is_installed_and_its_settings_exist() {
    assert_eq!(values("ExecStart"), ["/usr/bin/octostore serve"]);
    assert_eq!(values("Type"), ["notify"]);
    let help = octostore(&["serve", "--help"]);
    let known: BTreeSet<&str> = help.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).collect();
    let settings = project_text("packaging/debian/octostore.env");
    let settings = settings.lines().filter_map(|line| line.strip_prefix('#')).map(str::to_owned);
    let set = settings.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase())).chain(values("Environment"));
    let mut count = 0;
    for line in set.filter(|line| line.contains('=')) {
        let name = line.split('=').next().expect("a name");
        assert!(known.contains(name), "nobody knows {name}");
        count += 1;
    }
    assert!(count >= 4 && !flags(&help).is_empty());
}

/// The system calls in a set, or the one that is named.
fn expand(name: &str, into: &mut BTreeSet<String>) {
    if !name.starts_with('@') {
        into.insert(name.to_owned());
        return;
    }
    let listed = said(Command::new("systemd-analyze").args(["syscall-filter", "--no-pager", name]));
    for line in listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        expand(line, into);
    }
}

/// The system calls that the unit allows: each line adds to them, or takes away.
fn allowed() -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    expand("@default", &mut allowed);
    for line in values("SystemCallFilter") {
        let mut named = BTreeSet::new();
        let without = line.strip_prefix('~');
        without.unwrap_or(&line).split_whitespace().for_each(|name| expand(name, &mut named));
        match without {
            Some(_) => allowed.retain(|call| !named.contains(call)),
            None => allowed.extend(named),
        }
    }
    allowed
}

/// Starts a server that may make no other system calls.
fn start_with_only(calls: &BTreeSet<String>, driver: Driver) -> Server {
    let rules: BTreeMap<i64, Vec<_>> =
        calls.iter().filter_map(|name| Sysno::from_str(name).ok()).map(|call| (i64::from(call.id()), vec![])).collect();
    assert!(rules.len() > 100, "{rules:?}");
    let architecture = std::env::consts::ARCH.try_into().expect("an architecture that has seccomp");
    let filter = SeccompFilter::new(rules, SeccompAction::Errno(EPERM), SeccompAction::Allow, architecture);
    let program: BpfProgram = filter.expect("a filter").try_into().expect("a program");
    let start = move || {
        apply_filter(&program).expect("seccomp");
        Server::start(Options::new(driver))
    };
    std::thread::spawn(start).join().expect("the thread that the filter is on")
}

#[test]
fn the_system_calls_that_the_unit_allows_are_enough_for_both_drivers() {
    let allowed = allowed();
    assert!(!allowed.contains("mount") && !allowed.contains("setpriority"), "{allowed:?}");
    for driver in [Driver::Auto, Driver::Epoll] {
        let mut server = start_with_only(&allowed, driver);
        let health = server.connect().call(&request("GET", "/health", &[], b"")).expect(200);
        assert_eq!(health["driver"], if driver == Driver::Auto { "io_uring" } else { "epoll" });
        let mut alice = server.user("alice");
        let grant = alice.grant("job", json!({}));
        alice.renew("job", &grant.lease_id, json!({ "ttl_seconds": 600 })).expect(200);
        assert_eq!(alice.release("job", &grant.lease_id).status, 200);
        assert!(server.terminate().success(), "{}", server.log());
    }
}
