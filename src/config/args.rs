//! What can be typed: the program's commands, and what their help says beside their flags.

use super::{
    BackupArgs, CheckArgs, CompletionsArgs, DumpArgs, HealthArgs, ManArgs, RestoreArgs, ServeArgs, StatusArgs, UserArgs,
};

/// The command line, as typed.
#[derive(Clone, Debug, Default, clap::Parser)]
#[command(
    name = "octostore",
    version,
    about = "Distributed locks over HTTP with fencing tokens.\n`octostore` alone means `octostore serve`.",
    args_conflicts_with_subcommands = true,
    next_line_help = true
)]
pub struct Args {
    /// What to do; nothing typed means [`Command::Serve`].
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `serve`, typed without the word.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What the program can do.
#[derive(Clone, Debug, clap::Subcommand)]
#[allow(clippy::large_enum_variant)] // one is made, once
pub enum Command {
    /// Run the server (what `octostore` alone does)
    #[command(next_line_help = true)]
    Serve(ServeArgs),
    /// Write a backup of the database of a running or stopped server to FILE
    #[command(next_line_help = true, after_help = BACKUP_HELP)]
    Backup(BackupArgs),
    /// Make a new database of a backup
    #[command(next_line_help = true, after_help = RESTORE_HELP)]
    Restore(RestoreArgs),
    /// Check a database or a backup from end to end, changing nothing
    #[command(next_line_help = true, after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Print the locks of a running or stopped server as JSON
    #[command(next_line_help = true, after_help = DUMP_HELP)]
    Dump(DumpArgs),
    /// Show the figures of a running server, refreshed in place
    #[command(next_line_help = true, after_help = STATUS_HELP)]
    Status(StatusArgs),
    /// Add, list and remove users, and replace their tokens
    #[command(after_help = USER_HELP)]
    User(UserArgs),
    /// Ask whether a server is well: exit code 0 if so, 1 if not
    #[command(next_line_help = true)]
    Health(HealthArgs),
    /// Print the completions for a shell
    #[command(next_line_help = true)]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(next_line_help = true)]
    Man(ManArgs),
}

const STATUS_HELP: &str = "\
Rates and times are those since the last refresh; with --once, since the start
of the server. q or Ctrl-C ends it. Without a terminal it prints once.";

const BACKUP_HELP: &str = "\
The server goes on meanwhile. FILE is one SQLite database, for its owner only:
it holds lease ids and the hashes of tokens. Keep it off this machine, and
restore it with `octostore restore FILE`.";
const RESTORE_HELP: &str = "\
No server may run on the database, and there must be none yet: move the old
one away first, with its -wal file. Of the backup,
  - users and tokens are kept: a token that was rotated since the backup is
    valid again, and the one that replaced it is not;
  - leases are dropped, and fencing tokens go on at a million for each second
    since 1970, above every one that can have been given out, if the clock is
    right: it must not be an hour behind what it was at an earlier restore;
  - new locks are refused with a 503 for the first hour (the longest TTL) that
    the server runs: whoever got a lease after the backup may still believe in
    it. A restart within that hour begins it again.";
const CHECK_HELP: &str = "\
Of a running server take a backup and check that: `octostore backup` does.
Exit code: 0 whole, 1 it could not be checked, 2 typed wrong, 3 damaged.";
const USER_HELP: &str = "\
A change counts at once, in a running server too. A token goes to stdout,
alone: TOKEN=$(octostore user add alice)
Users of STATIC_TOKENS, and `local`, have their tokens in the configuration:
they are listed, with - for a number where no server runs that knows it, and
not changed here. A user of GitHub is called github/ and its number there.
The locks of a user who is removed stay until they run out, at most an hour,
since nobody can renew or release them; `user add` brings the account back,
with those that are left.";
const DUMP_HELP: &str = "\
One line for each lock, by name:
  {\"name\", \"user\", \"user_id\", \"lease_id\", \"fencing_token\",
   \"ttl_seconds\", \"metadata\"}
What is on disk is shown: a lease that has run out since it was granted may be
among them while no server runs, since a start lets each run in full again.";
