//! The admin socket: how the command line talks to a running server.
//!
//! Only the journal's thread may touch the database of a running server, so `octostore backup`, `dump` and `user` ask it
//! through a Unix socket beside the database. It is there only while the server runs, has mode 600, and the
//! kernel tells the server who is at the other end: its own user or root, nobody else is served.
//!
//! **The protocol.** A connection carries one request, a JSON object on one line, and the answer is any number of
//! such lines ([`Reply`]), the last of which is one that says so ([`Reply::is_last`]). Then whoever has nothing more to do closes.
//! Both ends are of one version: the command line is the server's own binary, or else an error says so.
//!
//! A request to come is one more variant of [`Request`], with its arm in `Office::answer`.

mod client;
mod listing;
mod server;
mod socket;
mod users;

pub use client::Client;
pub use listing::{Configured, UserRow};
pub use server::Office;
pub use users::UserChange;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What can be asked.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// A copy of the database in a file beside it. It stays until the client hangs up, or takes it away.
    Copy,
    /// The figures, as `/metrics` has them.
    Figures,
    /// The users.
    ListUsers,
    /// A user of this name, with a token.
    AddUser {
        /// Its name.
        name: String,
    },
    /// A new token for a user, instead of all before.
    RotateUser {
        /// Its name.
        name: String,
    },
    /// No token any more for a user.
    RemoveUser {
        /// Its name, or its kind, a slash, and its name there.
        name: String,
    },
}

/// What is answered.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// How far a copy is; more follows.
    Progress {
        /// Pages copied.
        done: u64,
        /// Pages in all.
        total: u64,
    },
    /// Some of the users; more follows.
    Users {
        /// By number.
        users: Vec<UserRow>,
    },
    /// The copy is whole, at [`copy_path`]. It has not been synced.
    Copied,
    /// The figures.
    Figures {
        /// In Prometheus' text format.
        page: String,
    },
    /// The user's token: it is told nobody else, and this once.
    Token {
        /// In clear.
        token: String,
        /// What others see of the user.
        user_id: String,
    },
    /// It is done.
    Done,
    /// It is not done.
    Refused {
        /// Why, in one line.
        why: String,
    },
}

impl Reply {
    /// Whether nothing follows it.
    pub fn is_last(&self) -> bool {
        !matches!(self, Reply::Progress { .. } | Reply::Users { .. })
    }
}

/// The admin socket of a database, which is given by its real path.
pub fn socket_path(database: &Path) -> PathBuf {
    beside(database, ".admin")
}

/// The copy that a server makes of its database.
pub fn copy_path(database: &Path) -> PathBuf {
    beside(database, ".copy")
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The longest request, in bytes, and the longest line of an answer: a page of figures.
const MAX_REQUEST_BYTES: u64 = 4096;
const MAX_REPLY_BYTES: u64 = 256 << 10;
