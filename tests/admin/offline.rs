//! Of a stopped server, or one that was killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::commands::{command, dump, dumped_names, fail, files, run, stopped_with, succeed};
use crate::common::options::text;
use crate::common::process::Process;
use crate::common::tools::{edit, sqlite3, strace};
use crate::common::{Driver, Home, Server};

#[test]
fn a_stopped_database_is_checked_and_not_changed() {
    let server = stopped_with(&["b", "a"]);
    let home = &server.options.home;
    let before = fs::read(&server.options.database).expect("read");
    let report = succeed(home, &["check"]);
    for line in ["octostore.db: whole", "locks held      2", "highest token   2", "grace           none"] {
        assert!(report.contains(line), "{report}");
    }
    assert_eq!(fs::read(&server.options.database).expect("read"), before);
    assert_eq!(files(home), ["octostore.db", "octostore.db.lock"]);
}

#[test]
fn the_files_of_a_killed_server_are_checked_dumped_and_not_changed() {
    let mut server = Server::on(Driver::Auto);
    let mut alice = server.user("alice");
    let grant = alice.grant("b", json!({ "ttl_seconds": 7, "metadata": "x" }));
    alice.grant("a", json!({}));
    server.kill9();
    let home = server.options.home.clone();
    let read = || ["octostore.db", "octostore.db-wal"].map(|file| fs::read(home.file(file)).expect("read"));
    let before = read();
    assert!(succeed(&home, &["check"]).contains("locks held      2"));
    let locks = dump(&home);
    assert_eq!((locks.len(), &locks[0]["name"]), (2, &json!("a")), "by name");
    assert_eq!(locks[1]["fencing_token"], grant.token);
    assert_eq!(locks[1]["lease_id"], grant.lease_id);
    let shown = [&locks[1]["user"], &locks[1]["ttl_seconds"], &locks[1]["metadata"]];
    assert_eq!(shown, [&json!("static/alice"), &json!(7), &json!("x")]);
    assert_eq!(read(), before);
    server.start_again();
    assert_eq!(server.user("alice").status("b")["holder_id"], locks[1]["user_id"]);
}

#[test]
fn a_backup_of_a_stopped_server_is_one_file_that_anybody_can_read_anywhere() {
    let mut server = Server::on(Driver::Auto);
    server.user("alice").grant("a", json!({}));
    server.kill9(); // its newest commits are in the -wal file
    let home = server.options.home.clone();
    let ended = run(&home, &["backup", "copy.db"]);
    assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
    assert!(ended.stderr.contains("copy.db: ") && ended.stderr.contains("1 lock"), "{ended:?}");
    assert_eq!(fs::metadata(home.file("copy.db")).expect("the copy").permissions().mode() & 0o777, 0o600);
    // In a place of its own, where nothing can be written beside it.
    let shelf = home.file("shelf");
    fs::create_dir(&shelf).expect("mkdir");
    let copy = shelf.join("copy.db");
    fs::rename(home.file("copy.db"), &copy).expect("move");
    assert!(succeed(&home, &["check", "shelf/copy.db"]).contains("copy.db: whole"));
    assert_eq!(sqlite3(&copy, "PRAGMA integrity_check"), "ok");
    assert_eq!(sqlite3(&copy, "PRAGMA journal_mode"), "delete");
    assert_eq!(sqlite3(&copy, "SELECT wal_holds_more FROM meta"), "0");
    assert_eq!(fs::read_dir(&shelf).expect("the directory").count(), 1);
}

#[test]
fn a_backup_replaces_nothing_unless_it_is_told_to_and_never_the_database() {
    let server = stopped_with(&["a"]);
    let home = &server.options.home;
    fs::write(home.file("copy.db"), "precious").expect("write");
    fail(home, &["backup", "copy.db"], 1, &["copy.db exists", "--force"]);
    assert_eq!(fs::read(home.file("copy.db")).expect("read"), b"precious");
    succeed(home, &["backup", "--force", "copy.db"]);
    succeed(home, &["check", "copy.db"]);
    fail(home, &["backup", "--force", "../octostore.db/../octostore.db"], 1, &["cannot be used"]);
    std::os::unix::fs::symlink("octostore.db", home.file("link.db")).expect("link");
    let suffixes = ["", "-wal", "-wal-copy", "-journal", ".lock", ".admin", ".copy", ".restoring"];
    for own in suffixes.map(|suffix| format!("octostore.db{suffix}")).iter().chain([&"local.token".to_owned()]) {
        fail(home, &["backup", "--force", own], 1, &["the database itself"]);
        fail(home, &["backup", "--force", own, "--database", "link.db"], 1, &["the database itself"]);
    }
    fail(home, &["backup", "--force", "link.db", "--database", "link.db"], 1, &["the database itself"]);
    // A database whose name is that of the copy under way.
    fs::rename(home.file("copy.db"), home.file("new.db.partial")).expect("rename");
    fail(home, &["backup", "new.db", "--database", "new.db.partial"], 1, &["the database itself"]);
    succeed(home, &["check", "new.db.partial"]);
    succeed(home, &["check"]);
    fail(home, &["backup", "no/such/copy.db"], 1, &["no/such/copy.db"]);
    fail(home, &["backup", "/"], 1, &["does not name a file"]);
}

#[test]
fn a_full_disk_leaves_no_backup_and_no_piece_of_one() {
    let server = stopped_with(&["a"]);
    let home = &server.options.home;
    let partial = home.file("copy.db.partial");
    let rules = ["-P", text(&partial), "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC:when=3+"];
    let line = strace(&home.file("trace"), &rules);
    let mut broken = std::process::Command::new(&line[0]);
    broken.args(&line[1..]).arg(env!("CARGO_BIN_EXE_octostore")).args(["backup", "copy.db"]).current_dir(&home.path);
    let ended = Process::spawn(broken).failed();
    assert!(ended.error().contains("the disk is full"), "{ended:?}");
    assert_eq!(files(home), ["octostore.db", "octostore.db.lock", "trace"]);
}

#[test]
fn a_restored_backup_has_the_accounts_and_none_of_the_leases() {
    let server = stopped_with(&["a", "b"]);
    let home = &server.options.home;
    let holder = dump(home)[0]["user_id"].clone();
    succeed(home, &["backup", "copy.db"]);
    let before = fs::read(home.file("copy.db")).expect("read");
    fail(home, &["restore", "copy.db"], 1, &["octostore.db exists", "move it away"]);
    // What an earlier database of that name has left would be played into the restored one at the next start.
    for left in ["new.db-wal", "new.db-journal"] {
        fs::write(home.file(left), "hot").expect("write");
        fail(home, &["restore", "copy.db", "--database", "new.db"], 1, &[left, "exists", "move it away"]);
        assert!(!home.file("new.db").exists());
        fs::remove_file(home.file(left)).expect("remove");
    }

    let other = Home::new();
    fs::copy(home.file("copy.db"), other.file("copy.db")).expect("copy");
    let ended = run(&other, &["restore", "copy.db"]);
    assert!(ended.status.success(), "{ended:?}");
    for part in ["2 leases dropped", "rotated", "valid again", "3600 s"] {
        assert!(ended.stderr.contains(part), "it should say '{part}': {}", ended.stderr);
    }
    assert_eq!(fs::read(other.file("copy.db")).expect("read"), before, "the backup can be restored again");
    assert_eq!(files(&other), ["copy.db", "octostore.db", "octostore.db.lock"]);
    let mode = fs::metadata(other.file("octostore.db")).expect("the database").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(dumped_names(&other).is_empty());
    let found = sqlite3(&other.file("octostore.db"), "SELECT public_id FROM accounts WHERE external_id = 'alice'");
    assert_eq!(holder, json!(found));
    let meta =
        "SELECT (mark > 1735689600 << 20) || ' ' || (trimmed_through = last_commit) || ' ' || grace_seconds FROM meta";
    assert_eq!(
        sqlite3(&other.file("octostore.db"), meta),
        "1 1 3600",
        "tokens go on at a million for each second since 1970"
    );
    assert!(succeed(&other, &["check"]).contains("3600 s after the next start no lock is granted"));
}

#[test]
fn a_restore_by_a_clock_that_is_behind_the_tokens_of_the_backup_is_refused() {
    let server = stopped_with(&["a"]);
    let home = &server.options.home;
    succeed(home, &["backup", "copy.db"]);
    edit(&home.file("copy.db"), "UPDATE meta SET mark = 6000000000 << 20");
    fail(
        home,
        &["restore", "copy.db", "--database", "new.db"],
        1,
        &["the clock", "cannot be right", "6000000000 s at least"],
    );
    assert!(!home.file("new.db").exists() && !home.file("new.db.restoring").exists());
    succeed(home, &["backup", "--force", "copy.db"]);
    edit(&home.file("copy.db"), "UPDATE meta SET mark = 1735689600 << 20");
    let said = run(home, &["restore", "copy.db", "--database", "new.db"]).stderr;
    let mark = sqlite3(&home.file("new.db"), "SELECT mark FROM meta");
    assert!(said.contains(&format!("fencing tokens go on above {mark}")), "{said}");
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let server = stopped_with(&["a", "b", "c"]);
    let home = &server.options.home;
    succeed(home, &["backup", "copy.db"]);
    let whole = fs::read(home.file("copy.db")).expect("read");
    let refused = |bytes: &[u8], code: i32| {
        fs::write(home.file("copy.db"), bytes).expect("write");
        let checked = run(home, &["check", "copy.db"]);
        assert_eq!(checked.status.code(), Some(code), "{checked:?}");
        fail(home, &["restore", "copy.db", "--database", "new.db"], 1, &["copy.db"]);
        assert!(!home.file("new.db").exists() && !home.file("new.db.restoring").exists());
    };
    let mut torn = whole.clone();
    torn[4096..].fill(0x5a);
    refused(&torn, 3);
    refused(&whole[..whole.len() - 4096], 3);
    refused(&whole[..whole.len() - 100], 3);
    refused(b"these are my notes", 1);
    refused("these are my notes, and they are long. ".repeat(200).as_bytes(), 1);
    refused(b"", 1);
    fs::write(home.file("copy.db"), &whole).expect("write");
    // A commit that says something else than it did: no page is damaged.
    let lease = sqlite3(&home.file("copy.db"), "SELECT lease_id FROM locks WHERE name = 'a'");
    sqlite3(&home.file("copy.db"), "UPDATE locks SET lease_id = upper(hex(randomblob(18))) WHERE name = 'a'");
    assert_ne!(lease, "");
    fail(home, &["check", "copy.db"], 3, &["lease_id"]);
    fail(home, &["restore", "copy.db", "--database", "new.db"], 1, &["copy.db", "lease_id"]);
    assert!(!home.file("new.db").exists() && !home.file("new.db.restoring").exists());
    // Values that can be, but are not those that were written.
    for (change, row) in [
        ("UPDATE locks SET token = token + 1 WHERE name = 'a'", "the row of lock 'a'"),
        ("DELETE FROM locks WHERE name = 'a'", "the rows of locks"),
        ("UPDATE accounts SET external_id = 'mallory' WHERE external_id = 'alice'", "the row of account"),
        ("UPDATE meta SET mark = mark - 1", "the row of meta"),
    ] {
        fs::write(home.file("copy.db"), &whole).expect("write");
        sqlite3(&home.file("copy.db"), change);
        fail(home, &["check", "copy.db"], 3, &["copy.db", row, "octostore restore BACKUP"]);
        fail(home, &["restore", "copy.db", "--database", "new.db"], 1, &["copy.db", row]);
        assert!(!home.file("new.db").exists() && !home.file("new.db.restoring").exists());
    }
}

#[test]
fn a_copy_made_while_the_server_ran_lacks_its_newest_commits_and_is_refused() {
    let server = Server::on(Driver::Auto);
    server.user("alice").grant("a", json!({}));
    let home = &server.options.home;
    fs::copy(&server.options.database, home.file("copy.db")).expect("copy");
    fail(home, &["check", "copy.db"], 3, &["copy.db-wal", "missing"]);
    fail(home, &["restore", "copy.db", "--database", "new.db"], 1, &["copy.db-wal", "missing"]);
    // With both files it is whole, as a snapshot of the disk would be.
    fs::copy(home.file("octostore.db-wal"), home.file("copy.db-wal")).expect("copy");
    assert!(succeed(home, &["check", "copy.db"]).contains("locks held      1"));
    succeed(home, &["restore", "copy.db", "--database", "new.db"]);
    assert!(succeed(home, &["check", "--database", "new.db"]).contains("locks held      0"));
}

#[test]
fn what_a_killed_restore_or_backup_has_left_is_no_hindrance() {
    let server = stopped_with(&["a"]);
    let home = &server.options.home;
    for remains in ["copy.db.partial", "copy.db.partial-wal", "copy.db.partial-journal"] {
        fs::write(home.file(remains), "half").expect("write");
    }
    succeed(home, &["backup", "copy.db"]);
    assert!(succeed(home, &["check", "copy.db"]).contains("locks held      1"));
    for left in ["other.db-wal", "other.db-journal"] {
        fs::write(home.file(left), "hot").expect("write");
        fail(home, &["backup", "other.db"], 1, &[left, "exists", "move it away"]);
        fs::remove_file(home.file(left)).expect("remove");
    }
    for remains in ["new.db.restoring", "new.db.restoring-wal"] {
        fs::write(home.file(remains), "half").expect("write");
    }
    succeed(home, &["restore", "copy.db", "--database", "new.db"]);
    let wanted = ["copy.db", "new.db", "new.db.lock", "octostore.db", "octostore.db.lock"];
    assert_eq!(files(home), wanted);
}

#[test]
fn commands_that_only_look_make_nothing() {
    let home = Home::new();
    for args in [&["check"][..], &["dump"], &["backup", "copy.db"], &["check", "nothing.db"]] {
        fail(&home, args, 1, &["there is no database", "--database"]);
    }
    assert!(files(&home).is_empty());
}

#[test]
fn dump_ends_quietly_when_its_reader_does() {
    let names: Vec<String> = (0..90).map(|n| format!("lock-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = stopped_with(&names);
    let shell = format!("{} dump | head -n 1", env!("CARGO_BIN_EXE_octostore"));
    let output = std::process::Command::new("sh")
        .args(["-c", &shell])
        .current_dir(&server.options.home.path)
        .output()
        .expect("sh");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
}

#[test]
fn commands_that_are_typed_wrong_are_refused_with_a_hint() {
    let home = Home::new();
    for args in [&["backup"][..], &["restore"], &["backup", "a", "b"], &["dump", "a"], &["check", "--nonsense"]] {
        let ended = Process::spawn(command(&home, args)).failed();
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains("Usage: octostore"), "{ended:?}");
    }
    fail(&home, &["dump", "--database", "postgres://host/db"], 2, &["--database", "octostore --help"]);
    assert!(files(&home).is_empty());
}

#[test]
fn the_help_of_every_command_fits_in_80_columns() {
    let home = Home::new();
    let commands =
        ["backup", "restore", "check", "dump", "user", "user add", "user list", "user rotate", "user remove"];
    let commands = commands.iter().map(|command| command.split(' ').chain(["--help"]).collect::<Vec<_>>());
    for args in [vec!["--help"], vec!["-h"]].into_iter().chain(commands) {
        let help = succeed(&home, &args);
        assert!(help.contains("Usage: octostore"), "{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{args:?}: {line}");
        }
    }
}
