//! `octostore user`: accounts for a server without GitHub.
//!
//! The token, and nothing else, goes to stdout, so that `TOKEN=$(octostore user add alice)` works; what people should know
//! goes to stderr.

use std::io::{self, Write};
use std::path::Path;

use super::Failure;
use super::access::{self, Access};
use super::files::{keep_to_the_owner, leave_to_the_owner, must_exist, print, tell};
use crate::admin::{Reply, Request, UserChange, UserRow};
use crate::config::UserCommand;
use crate::database_lock::DatabaseLock;
use crate::journal::{Account, Inspected, Journal, Limits, SqliteJournal, decide};

/// Does what was typed after `user`.
///
/// # Errors
/// It cannot be done, or the database not be reached.
pub fn run(command: &UserCommand, database: &Path) -> Result<(), Failure> {
    keep_to_the_owner();
    let (request, done) = match command {
        UserCommand::List => return show(&list(database)?),
        UserCommand::Add { name } => (
            Request::AddUser { name: name.clone() },
            format!("{name} is added. This is the token, shown once: keep it"),
        ),
        UserCommand::Rotate { name } => (
            Request::RotateUser { name: name.clone() },
            format!("{name} has a new token, shown once: keep it. The old one works no longer"),
        ),
        UserCommand::Remove { name } => (
            Request::RemoveUser { name: name.clone() },
            format!("{name} is removed: no token of it works any more. Its locks run out, since nobody can renew them"),
        ),
    };
    // A first user may come before the first start; nobody else can be in a database that is not there.
    if !matches!(request, Request::AddUser { .. }) {
        must_exist(database)?;
    }
    let reply = match Access::to(database)? {
        Access::Running(mut client, _) => client.ask(&request, &mut |_| ())?,
        Access::Stopped(lock) => change_stopped(&request, &lock)?,
    };
    match reply {
        Reply::Token { token, .. } => print(|out| writeln!(out, "{token}"))?,
        Reply::Refused { why } => return Err(why.into()),
        _ => {}
    }
    tell(&done);
    Ok(())
}

fn change_stopped(request: &Request, lock: &DatabaseLock) -> Result<Reply, Failure> {
    let change = UserChange::of(request)?.expect("a request about a user");
    let mut journal = SqliteJournal::open(lock.database(), Limits::STANDARD)?;
    // Nothing is written to a database that is not whole.
    journal.recover()?;
    journal.accounts(&[])?;
    journal.tokens()?;
    let found = journal.holder(&change.errand.whose)?;
    let reply = match decide(&change.errand, found) {
        Ok(decided) => change.made(&journal.change_account(&decided)?),
        Err(why) => change.refused(why),
    };
    journal.close()?;
    leave_to_the_owner(lock.database())?;
    Ok(reply)
}

fn list(database: &Path) -> Result<Vec<UserRow>, Failure> {
    let row = |(account, stored): (&Account, &u32)| UserRow::new(account, *stored, None);
    let stored = |found: Inspected| Ok(found.accounts.iter().zip(&found.tokens).map(row).collect());
    access::look(database, stored, |mut client, _| {
        let mut all = Vec::new();
        client.ask(&Request::ListUsers, &mut |part| {
            if let Reply::Users { users } = part {
                all.extend(users);
            }
        })?;
        Ok(all)
    })
}

/// A table: what to call a user in the other commands, how many tokens it has, and what others see of it.
fn show(users: &[UserRow]) -> Result<(), Failure> {
    let width = users.iter().map(|user| user.name.len()).max().unwrap_or(0).max(4);
    print(|out: &mut dyn Write| -> io::Result<()> {
        writeln!(out, "{:width$}  TOKENS  USER ID", "USER")?;
        for UserRow { name, tokens, user_id } in users {
            let tokens = tokens.map_or("-".to_owned(), |tokens| tokens.to_string());
            writeln!(out, "{name:width$}  {tokens:>6}  {user_id}")?;
        }
        Ok(())
    })
}
