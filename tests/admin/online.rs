//! Of a running server, which goes on meanwhile.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;

use serde_json::json;

use crate::commands::{command, dump, dumped_names, fail, files, fill, run, succeed};
use crate::common::options::text;
use crate::common::process::Process;
use crate::common::tools::{shell, strace};
use crate::common::{Driver, Home, Options, Server, eventually};

crate::both_drivers! {
    a_backup_of_a_running_server_holds_all_that_was_answered_before,
}

/// The server's own copy, from which a backup is taken.
fn copy_of(home: &Home) -> PathBuf {
    home.file("octostore.db.copy")
}

/// A server with some megabytes of locks, whose disk does this to what is written to the copy.
fn server_with_a_disk(fault: &str) -> Server {
    let mut options = Options::new(Driver::Auto).args(&["--max-locks-per-user", "100000"]);
    let copy = copy_of(&options.home);
    let inject = format!("inject=pwrite64:{fault}");
    let rules = ["-P", text(&copy), "-e", "trace=pwrite64", "-e", &inject];
    options.wrapper = strace(&options.home.file("trace"), &rules);
    let server = Server::start(options);
    fill(&server, 60);
    server
}

/// A backup under way, of which the server has begun to write its copy.
#[track_caller]
fn backup_under_way(server: &Server) -> Process {
    let backup = Process::spawn(command(&server.options.home, &["backup", "copy.db"]));
    let begun = || fs::metadata(copy_of(&server.options.home)).is_ok_and(|found| found.len() > 0);
    eventually("the copy is begun", begun);
    backup
}

/// Everything is as before: nothing lies about, locks are granted, and the next backup succeeds.
#[track_caller]
fn assert_unharmed(server: &Server) {
    server.user("bob").grant("after", json!({}));
    server.assert_healthy();
    succeed(&server.options.home, &["backup", "later.db"]);
    assert!(!copy_of(&server.options.home).exists());
}

fn a_backup_of_a_running_server_holds_all_that_was_answered_before(driver: Driver) {
    let server = Server::on(driver);
    let home = &server.options.home;
    let mut alice = server.user("alice");
    let grant = alice.grant("kept", json!({ "metadata": "x" }));
    let gone = alice.grant("gone", json!({}));
    alice.release("gone", &gone.lease_id).expect(200);
    let ended = run(home, &["backup", "copy.db"]);
    assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
    assert!(ended.stderr.contains("1 lock, up to commit 3; checked"), "{ended:?}");
    alice.grant("later", json!({}));
    let names = succeed(home, &["dump", "--database", "copy.db"]);
    assert!(names.lines().count() == 1 && names.contains(&grant.lease_id), "{names}");
    assert!(!home.file("copy.db.lock").exists(), "nothing is put beside a backup");
    assert!(succeed(home, &["check", "copy.db"]).contains("locks held      1"));
    assert!(!copy_of(home).exists());
    fail(home, &["backup", "copy.db"], 1, &["copy.db exists"]);
    succeed(home, &["backup", "--force", "copy.db"]);
    assert!(succeed(home, &["check", "copy.db"]).contains("locks held      2"));
}

#[test]
fn a_backup_goes_to_another_disk_too() {
    let server = Server::on(Driver::Auto);
    server.user("alice").grant("a", json!({}));
    // What is in memory is another file system than what is not; one of the two is not where the tests are.
    let disks = ["/dev/shm", "/var/tmp", "/tmp"].map(PathBuf::from);
    for disk in disks {
        let file = disk.join(format!("octostore-test-backup-{}.db", std::process::id()));
        succeed(&server.options.home, &["backup", text(&file)]);
        assert!(succeed(&server.options.home, &["check", text(&file)]).contains("locks held      1"));
        fs::remove_file(&file).expect("remove");
        let _ = fs::remove_file(format!("{}.partial", file.display()));
    }
}

#[test]
fn a_backup_is_not_undone_by_the_journal_of_one_that_was_killed() {
    let server = Server::on(Driver::Auto);
    let home = &server.options.home;
    server.user("alice").grant("a", json!({}));
    // The journal of a transaction that has begun to change its file, as a kill -9 leaves it.
    shell(&format!(
        "cd '{}' && sqlite3 other.db <<'END'\n\
         CREATE TABLE junk (a); INSERT INTO junk VALUES (zeroblob(100000));\n\
         PRAGMA cache_size = 1; BEGIN; UPDATE junk SET a = randomblob(200000);\n\
         .shell cp other.db-journal copy.db.partial-journal\nROLLBACK;\nEND",
        text(&home.path)
    ));
    assert!(fs::metadata(home.file("copy.db.partial-journal")).expect("the journal").len() > 4096);
    succeed(home, &["backup", "copy.db"]);
    assert!(succeed(home, &["check", "copy.db"]).contains("locks held      1"));
    assert!(!home.file("copy.db.partial-journal").exists());
}

#[test]
fn what_root_takes_of_another_users_server_is_roots_own() {
    if !rustix::process::geteuid().is_root() {
        return; // only root can give a directory to somebody else
    }
    let mut options = Options::new(Driver::Auto);
    chown(&options.home.path, Some(65534), Some(65534)).expect("chown");
    let other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    options.wrapper = other.map(str::to_owned).to_vec();
    let server = Server::start(options);
    let home = &server.options.home;
    assert_eq!(fs::metadata(&server.options.database).expect("the database").uid(), 65534);
    server.user("alice").grant("a", json!({}));
    let shelf = Home::new();
    let copy = shelf.file("copy.db");
    succeed(home, &["backup", text(&copy)]);
    let made = fs::metadata(&copy).expect("the backup");
    assert_eq!((made.uid(), made.mode() & 0o777), (0, 0o600));
    assert!(succeed(home, &["check", text(&copy)]).contains("locks held      1"));
    assert_eq!(files(&shelf), ["copy.db"]);
}

#[test]
fn a_terminal_shows_how_far_a_backup_is() {
    let server = Server::on(Driver::Auto);
    let home = &server.options.home;
    server.user("alice").grant("a", json!({}));
    let line = format!("{} backup copy.db", env!("CARGO_BIN_EXE_octostore"));
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).current_dir(&home.path);
    let shown = Process::spawn(terminal).failed();
    assert!(shown.status.success(), "{shown:?}");
    assert!(shown.stdout.contains("copying: 100 % ("), "{shown:?}");
    assert!(shown.stdout.trim_end().ends_with("checked"), "{shown:?}");
    let elsewhere = run(home, &["backup", "--force", "copy.db"]);
    assert!(elsewhere.stderr.lines().count() == 1 && elsewhere.stderr.ends_with("checked\n"), "{elsewhere:?}");
}

#[test]
fn dump_of_a_running_server_shows_what_is_committed() {
    let server = Server::on(Driver::Auto);
    let home = &server.options.home;
    assert!(dump(home).is_empty());
    let mut alice = server.user("alice");
    let grant = alice.grant("b", json!({}));
    alice.grant("a", json!({}));
    assert_eq!(dumped_names(home), ["a", "b"]);
    assert_eq!(dump(home)[1]["lease_id"], grant.lease_id);
    alice.release("b", &grant.lease_id).expect(200);
    assert_eq!(dumped_names(home), ["a"]);
    assert!(!copy_of(home).exists());
}

#[test]
fn what_needs_a_stopped_server_says_so_and_names_the_one_that_runs() {
    let server = Server::on(Driver::Auto);
    let home = &server.options.home;
    let pid = server.pid().to_string();
    fail(home, &["check"], 1, &["in use", &pid, "octostore backup"]);
    succeed(home, &["backup", "copy.db"]);
    fail(home, &["restore", "copy.db"], 1, &["in use", &pid]);
    server.assert_healthy();
}

#[test]
fn commits_go_on_between_the_slices_of_a_backup() {
    let server = server_with_a_disk("delay_exit=2000");
    let mut backup = backup_under_way(&server);
    let (mut bob, mut grants) = (server.user("bob"), 0usize);
    while !backup.has_ended() {
        bob.grant(&format!("meanwhile-{grants}"), json!({}));
        grants += 1;
    }
    let ended = backup.failed();
    assert!(ended.status.success(), "{ended:?}");
    // The copy takes several slices of 64 pages, and what is committed between two of them is in it: a journal that
    // stood still until the copy was made would have committed none of these before.
    let pages = fs::metadata(server.options.home.file("copy.db")).expect("the backup").len() / 4096;
    let names = succeed(&server.options.home, &["dump", "--database", "copy.db"]);
    let meanwhile = names.matches("\"meanwhile-").count();
    assert!(pages > 200 && meanwhile >= 2 && meanwhile < grants, "{meanwhile} of {grants} grants, {pages} pages");
}

#[test]
fn a_backup_that_is_killed_leaves_the_server_as_it_was() {
    let server = server_with_a_disk("delay_exit=5000");
    let home = &server.options.home;
    backup_under_way(&server).kill9();
    eventually("the copy is removed", || !copy_of(home).exists());
    assert!(!files(home).iter().any(|name| name.starts_with("copy.db")), "{:?}", files(home));
    assert_unharmed(&server);
}

#[test]
fn what_a_server_killed_in_a_backup_leaves_is_removed_by_the_next() {
    let mut server = server_with_a_disk("delay_exit=5000");
    let home = server.options.home.clone();
    let backup = backup_under_way(&server);
    server.kill9();
    let ended = backup.failed();
    assert!(ended.error().contains("the server has hung up"), "{ended:?}");
    assert!(copy_of(&home).exists(), "it was killed in the middle");
    assert!(!files(&home).iter().any(|name| name.starts_with("copy.db")), "{:?}", files(&home));
    server.options.wrapper.clear();
    server.start_again();
    assert!(!copy_of(&home).exists());
    assert_eq!(server.user("alice").list("?limit=1")["total"], 960);
    assert_unharmed(&server);
}

#[test]
fn a_server_told_to_stop_in_a_backup_stops_in_order() {
    let mut server = server_with_a_disk("delay_exit=5000");
    let backup = backup_under_way(&server);
    assert!(server.terminate().success(), "{}", server.log());
    let ended = backup.failed();
    assert!(ended.error().contains("stopping") || ended.error().contains("hung up"), "{ended:?}");
    let left = files(&server.options.home);
    assert_eq!(left, ["octostore.db", "octostore.db.lock", "trace"], "one tidy file, and no socket");
}

#[test]
fn a_backup_that_finds_no_room_fails_alone() {
    let server = server_with_a_disk("error=ENOSPC:when=100+");
    let home = &server.options.home;
    let before = files(home);
    fail(home, &["backup", "copy.db"], 1, &["the disk is full"]);
    fail(home, &["dump"], 1, &["the disk is full"]);
    eventually("nothing of it is left", || files(home) == before);
    server.user("bob").grant("after", json!({}));
    server.assert_healthy();
}

#[test]
fn a_second_backup_at_the_same_time_is_refused() {
    let server = server_with_a_disk("delay_exit=2000");
    let mut first = backup_under_way(&server);
    fail(&server.options.home, &["backup", "second.db"], 1, &["another backup or dump is under way"]);
    assert!(first.wait().success());
    assert_unharmed(&server);
}
