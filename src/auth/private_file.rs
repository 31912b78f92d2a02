//! Files that hold secrets: read only if nobody else could have read them.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::AuthError;

/// The largest file that is read, in bytes: a million tokens with their names.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// The text of the file at `path`. `what` names the file's purpose in errors.
///
/// The owner and the mode are those of the file that was opened, so it cannot be swapped in between;
/// a symbolic link is followed, as mounted secrets often are links.
///
/// # Errors
/// None if there is no such file. Else: it cannot be read, others can read or change it, it is another user's,
/// or it is no text.
pub fn read(what: &str, path: &Path) -> Result<String, Option<AuthError>> {
    let failed = |text: String| Some(AuthError(format!("{what} {}: {text}", path.display())));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(None),
        Err(e) => return Err(failed(format!("cannot be read: {e}"))),
    };
    let metadata = file.metadata().map_err(|e| failed(format!("cannot be looked at: {e}")))?;
    if let Some(fault) = fault(&metadata, rustix::process::geteuid().as_raw()) {
        return Err(failed(fault.replace("FILE", &path.display().to_string())));
    }
    let mut text = String::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    match read {
        Ok(bytes) if bytes as u64 > MAX_FILE_BYTES => Err(failed("is larger than 128 MiB".into())),
        Ok(_) => Ok(text),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(failed("is no UTF-8 text".into())),
        Err(e) => Err(failed(format!("cannot be read: {e}"))),
    }
}

/// Why the user `me` should not trust a secret in such a file; FILE stands for its path.
fn fault(file: &Metadata, me: u32) -> Option<String> {
    fault_of(file.is_dir(), file.mode(), file.uid(), me)
}

fn fault_of(is_dir: bool, mode: u32, owner: u32, me: u32) -> Option<String> {
    match () {
        () if is_dir => Some("is a directory; name a file in it".into()),
        () if owner != 0 && owner != me => {
            Some(format!("belongs to another user ({owner}); run: chown {me} 'FILE' && chmod 600 'FILE'"))
        }
        () if mode & 0o077 != 0 => {
            Some(format!("is open to other users (mode {:03o}); run: chmod 600 'FILE'", mode & 0o777))
        }
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_ours_or_of_root_that_only_the_owner_can_read_is_trusted() {
        for (mode, owner) in [(0o100600, 1000), (0o100400, 1000), (0o100600, 0), (0o100700, 1000)] {
            assert_eq!(fault_of(false, mode, owner, 1000), None);
        }
    }

    #[test]
    fn a_file_that_others_can_touch_is_refused_with_the_command_that_helps() {
        for mode in [0o604, 0o640, 0o602, 0o620, 0o644, 0o666, 0o601] {
            let fault = fault_of(false, 0o100000 | mode, 1000, 1000).unwrap();
            assert_eq!(fault, format!("is open to other users (mode {mode:o}); run: chmod 600 'FILE'"));
        }
    }

    #[test]
    fn a_file_of_somebody_else_is_refused_even_for_root() {
        let fault = fault_of(false, 0o100600, 1001, 1000).unwrap();
        assert!(fault.contains("chown 1000 'FILE'"), "{fault}");
        assert!(fault_of(false, 0o100600, 1001, 0).is_some());
    }

    #[test]
    fn a_directory_is_refused() {
        assert!(fault_of(true, 0o040700, 1000, 1000).is_some());
    }
}
