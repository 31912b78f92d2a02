//! The user `local`: a server with nothing configured makes one token at its first start.
//!
//! The token stands in `local.token` beside the database (mode 600, the token and a newline), the one
//! place where a token is kept in clear: so the quick start is one command, and a script on the same machine
//! can read what to send. The file comes into being whole or not at all: it is written and synced
//! under a passing name, then linked to its own, which fails if somebody else was faster.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{AuthError, hash_of, private_file, random_token};
use crate::config::Secret;
use crate::journal::TokenHash;

/// 32 random bytes in base64url, without padding.
const TOKEN_CHARS: usize = 43;

/// A token that was made just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLocalToken {
    /// The token, to be shown once.
    pub token: Secret,
    /// The file it is kept in.
    pub path: PathBuf,
    /// Whether there was a database already: an earlier token of the user `local`, if there was
    /// one, works no longer. False at a first start.
    pub replaces: bool,
}

/// Where the token of the user `local` is kept: `local.token` beside the database.
pub fn local_token_path(database: &Path) -> PathBuf {
    database.with_file_name("local.token")
}

/// The hash of the token of the user `local`; and the token itself if it had to be made.
///
/// # Errors
/// The file cannot be read or made, others can read it, or it holds no token.
pub fn read_or_make(database: &Path) -> Result<(TokenHash, Option<NewLocalToken>), AuthError> {
    let path = local_token_path(database);
    if let Some(hash) = read(&path)? {
        return Ok((hash, None));
    }
    let replaces = database.exists();
    let token = random_token()?;
    match write_new(&path, &token) {
        Ok(()) => {
            let hash = hash_of(token.as_bytes());
            Ok((hash, Some(NewLocalToken { token: Secret::new(token), path, replaces })))
        }
        // A server with another database in the same directory was faster: its token is ours too.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match read(&path)? {
            Some(hash) => Ok((hash, None)),
            None => Err(AuthError(format!("{} is there but leads nowhere; delete it", path.display()))),
        },
        Err(e) => Err(AuthError(format!("cannot make {}: {e}; the directory must be writable", path.display()))),
    }
}

fn read(path: &Path) -> Result<Option<TokenHash>, AuthError> {
    let text = match private_file::read("the token of the user local,", path) {
        Ok(text) => text,
        Err(None) => return Ok(None),
        Err(Some(error)) => return Err(error),
    };
    let token = text.strip_suffix('\n').unwrap_or(&text);
    if URL_SAFE_NO_PAD.decode(token).is_ok_and(|bytes| bytes.len() == 32) {
        Ok(Some(hash_of(token.as_bytes())))
    } else {
        let path = path.display();
        let text =
            format!("{path} does not hold a token of {TOKEN_CHARS} characters; delete it to have a new one made");
        Err(AuthError(text))
    }
}

/// Makes the file durably, or fails with `AlreadyExists`.
fn write_new(path: &Path, token: &str) -> io::Result<()> {
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(io::Error::other)?;
    let passing = path.with_file_name(format!("local.token.{:016x}", u64::from_ne_bytes(suffix)));
    let written = write_synced(&passing, token).and_then(|()| fs::hard_link(&passing, path));
    let removed = fs::remove_file(&passing);
    written?;
    removed?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn write_synced(path: &Path, token: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    file.sync_all()
}
