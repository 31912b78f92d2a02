//! `GET /metrics`, and who may ask for it.
//!
//! Figures tell an outsider how busy a service is and when it was last started, so they are not for everybody: by default
//! a client on the same machine sees them, any other shows a token of their own, which opens nothing else.

use super::Answer;
use super::error::{self, ApiError};
use crate::auth::AccessToken;
use crate::metrics::{Page, Registry};

/// Who may see the figures.
#[derive(Debug)]
pub enum Access {
    /// Clients on this machine; others with the token, if there is one.
    Loopback(Option<AccessToken>),
    /// Whoever has the token.
    Token(AccessToken),
    /// Nobody.
    Off,
}

impl Access {
    /// Judges a client that has presented this token, or none.
    ///
    /// # Errors
    /// What to answer instead.
    pub fn check(&self, is_on_this_machine: bool, token: Option<&[u8]>) -> Result<(), ApiError> {
        let wanted = match self {
            Access::Off => return Err(error::metrics_are_off()),
            Access::Loopback(_) if is_on_this_machine => return Ok(()),
            Access::Loopback(None) => return Err(error::metrics_are_local()),
            Access::Loopback(Some(wanted)) | Access::Token(wanted) => wanted,
        };
        let token = token.ok_or_else(error::metrics_token_required)?;
        if wanted.is(token) { Ok(()) } else { Err(error::metrics_token_wrong()) }
    }
}

/// Writes the answer's body.
pub fn answer(body: &mut Vec<u8>, registry: &Registry) -> Answer {
    body.extend_from_slice(registry.page().as_bytes());
    Answer::with(200, Page::CONTENT_TYPE, [])
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &[u8] = b"0123456789abcdef";

    fn token() -> AccessToken {
        AccessToken::new("0123456789abcdef").unwrap()
    }

    #[test]
    fn by_default_this_machine_needs_no_token_and_others_are_not_served() {
        assert_eq!(Access::Loopback(None).check(true, None), Ok(()));
        assert_eq!(Access::Loopback(None).check(false, Some(RIGHT)).unwrap_err().status, 403);
    }

    #[test]
    fn a_token_lets_others_in() {
        let access = Access::Loopback(Some(token()));
        assert_eq!(access.check(true, None), Ok(()));
        assert_eq!(access.check(false, Some(RIGHT)), Ok(()));
        assert_eq!(access.check(false, Some(b"0123456789abcdeF")).unwrap_err().status, 401);
        assert_eq!(access.check(false, None).unwrap_err().status, 401);
    }

    #[test]
    fn where_the_token_is_always_wanted_this_machine_needs_it_too() {
        let access = Access::Token(token());
        assert_eq!(access.check(true, None).unwrap_err().status, 401);
        assert_eq!(access.check(true, Some(RIGHT)), Ok(()));
    }

    #[test]
    fn metrics_that_are_off_are_not_there() {
        assert_eq!(Access::Off.check(true, Some(RIGHT)).unwrap_err().status, 404);
    }
}
