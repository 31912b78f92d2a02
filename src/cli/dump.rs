//! `octostore dump`: the locks of a running or stopped server, as JSON lines.

use std::path::Path;

use serde::Serialize;

use super::Failure;
use super::access;
use super::files::print;
use crate::journal::{Account, Inspected, Row};

/// One lock.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    user: String,
    user_id: String,
    lease_id: String,
    fencing_token: u64,
    ttl_seconds: u16,
    metadata: Option<&'a str>,
}

/// Prints them.
///
/// # Errors
/// The database cannot be read.
pub fn run(database: &Path) -> Result<(), Failure> {
    let Inspected { recovered, accounts, .. } = &access::inspect(database)?;
    print(|out| {
        for row in &recovered.locks {
            serde_json::to_writer(&mut *out, &line(row, accounts))?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

fn line<'a>(row: &'a Row, accounts: &[Account]) -> Line<'a> {
    let Row { ref name, user, lease_id, token, ttl, ref metadata } = *row;
    // Recovery has checked that there is one.
    let Account { public_id, kind, external_id, .. } = &accounts[user.0 as usize];
    Line {
        name,
        user: format!("{kind}/{external_id}"),
        user_id: public_id.to_string(),
        lease_id: lease_id.to_string(),
        fencing_token: token.get(),
        ttl_seconds: ttl.seconds(),
        metadata: metadata.as_deref(),
    }
}
