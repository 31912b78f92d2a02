//! A token that opens one thing and no account: that of `/metrics`.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{AuthError, MAX_TOKEN_BYTES, MIN_TOKEN_BYTES, private_file};
use crate::config::MetricsToken;

/// Such a token. Only its SHA-256 is kept, and compared in constant time.
pub struct AccessToken([u8; 32]);

impl AccessToken {
    /// The token of this text. None if it is none: 16 to 256 printable ASCII characters without a space.
    pub fn new(text: &str) -> Option<AccessToken> {
        let fits = (MIN_TOKEN_BYTES..=MAX_TOKEN_BYTES).contains(&text.len());
        (fits && text.bytes().all(|b| b.is_ascii_graphic())).then(|| AccessToken(Sha256::digest(text).into()))
    }

    /// The token that is configured.
    ///
    /// # Errors
    /// A file that cannot be read or that others can read, or a text that is no token; the text is not shown.
    pub fn configured(source: &MetricsToken) -> Result<AccessToken, AuthError> {
        const WHAT: &str = "the file of the metrics token";
        let (name, text) = match source {
            MetricsToken::Inline(secret) => ("OCTOSTORE_METRICS_TOKEN".to_owned(), secret.reveal().to_owned()),
            MetricsToken::File(path) => {
                let missing = || AuthError(format!("{WHAT} {} does not exist", path.display()));
                let text = private_file::read(WHAT, path).map_err(|error| error.unwrap_or_else(missing))?;
                (format!("{WHAT} {}", path.display()), text)
            }
        };
        AccessToken::new(text.trim()).ok_or_else(|| {
            AuthError(format!("{name} holds no token; it must be 16 to 256 printable ASCII characters without a space"))
        })
    }

    /// Whether this is what was presented.
    pub fn is(&self, presented: &[u8]) -> bool {
        presented.len() <= MAX_TOKEN_BYTES && bool::from(self.0.ct_eq(&Sha256::digest(presented)))
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessToken(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let token = AccessToken::new("0123456789abcdef").unwrap();
        assert!(token.is(b"0123456789abcdef"));
        for other in [&b""[..], b"0123456789abcde", b"0123456789abcdef ", &[b'x'; 100_000]] {
            assert!(!token.is(other));
        }
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn what_is_short_or_has_a_space_is_no_token() {
        for bad in ["", "0123456789abcde", "0123456789 abcdef", "0123456789abcdéf", &"x".repeat(257)] {
            assert!(AccessToken::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_configured_text_that_is_no_token_is_refused_without_showing_it() {
        let source = MetricsToken::Inline(crate::config::Secret::new("tooshort".into()));
        let error = AccessToken::configured(&source).unwrap_err().to_string();
        assert!(error.starts_with("OCTOSTORE_METRICS_TOKEN") && !error.contains("tooshort"), "{error}");
    }
}
