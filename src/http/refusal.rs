//! Refusals: what the parser answers to bytes that are no request, or none that it serves.
//!
//! After a refusal nothing more of the connection may be read as a request, since where the next one
//! would begin is unknown or not worth reading up to: it is answered, and the connection closes.

use super::Method;
use super::limits::*;

/// Why a request was refused, as the client is to be told. The connection closes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status: 400, 413, 414, 417, 431, 501 or 505.
    pub status: u16,
    /// The error's stable code.
    pub code: &'static str,
    /// What was wrong, and what would be right.
    pub details: &'static str,
    /// Whether the request is known to be a HEAD, so that its answer has no body.
    pub head_only: bool,
}

impl Refusal {
    const fn new(status: u16, code: &'static str, details: &'static str) -> Refusal {
        Refusal { status, code, details, head_only: false }
    }

    const fn bad(details: &'static str) -> Refusal {
        Refusal::new(400, "bad_request", details)
    }

    /// The same refusal, once the request's method is known.
    pub(super) fn of(self, method: Method) -> Refusal {
        Refusal { head_only: method == Method::Head, ..self }
    }
}

// The request line.
pub(super) const NOT_HTTP: Refusal =
    Refusal::bad("this is no HTTP/1.1 request; it must begin with a line like 'GET /health HTTP/1.1'");
pub(super) const NO_VERSION: Refusal =
    Refusal::bad("the request line must end with a space and 'HTTP/1.1', after a target without spaces");
pub(super) const BARE_CR_OR_LF: Refusal =
    Refusal::bad("every line of the head must end with CR LF, and have neither before");
pub(super) const TARGET_BYTE: Refusal = Refusal::bad(
    "the request target has a byte that no URI has; percent-encode controls, non-ASCII bytes and \" < > \\ ^ ` { | }",
);
pub(super) const FRAGMENT: Refusal =
    Refusal::bad("the request target has a fragment; leave out the '#' and what follows");
pub(super) const TARGET_FORM: Refusal =
    Refusal::bad("the request target must be a path that begins with '/', or an http or https URI with a valid host");
pub(super) const TARGET_TOO_LONG: Refusal =
    Refusal::new(414, "uri_too_long", "the request target is longer than 2048 bytes");
pub(super) const UNKNOWN_METHOD: Refusal = Refusal::new(
    501,
    "not_implemented",
    "this server does not know the method; methods are upper-case, like GET and POST",
);
pub(super) const CONNECT: Refusal = Refusal::new(501, "not_implemented", "this server is no proxy; it has no CONNECT");
pub(super) const VERSION: Refusal =
    Refusal::new(505, "version_not_supported", "this server speaks HTTP/1.1 and HTTP/1.0 only");

// The header lines.
pub(super) const FIELD_NAME: Refusal = Refusal::bad(
    "a header line must be a name of letters and '-', a colon right after it, and a value on the same line",
);
pub(super) const FIELD_VALUE: Refusal = Refusal::bad("a header's value has a control byte, or a CR without LF");
pub(super) const TOO_MANY_FIELDS: Refusal =
    Refusal::new(431, "headers_too_large", "the request has more than 64 header lines");
pub(super) const HEAD_TOO_LONG: Refusal =
    Refusal::new(431, "headers_too_large", "the request line and the headers together are longer than 16384 bytes");
pub(super) const NO_HOST: Refusal = Refusal::bad("an HTTP/1.1 request must have a Host header");
pub(super) const TWO_HOSTS: Refusal = Refusal::bad("the request has more than one Host header; send one");
pub(super) const HOST: Refusal = Refusal::bad(
    "the Host header must be a name, an IPv4 address or an IPv6 address in brackets, with a port or without",
);
pub(super) const TWO_AUTHORIZATIONS: Refusal =
    Refusal::bad("the request has more than one Authorization header; send one");
pub(super) const EXPECTATION: Refusal =
    Refusal::new(417, "expectation_failed", "the only expectation that this server knows is '100-continue'");

// The body's framing.
pub(super) const LENGTH: Refusal = Refusal::bad("Content-Length must be one decimal number, with digits only");
pub(super) const TWO_LENGTHS: Refusal = Refusal::bad("the request has more than one Content-Length header; send one");
pub(super) const LENGTH_AND_CODING: Refusal =
    Refusal::bad("the request has both Content-Length and Transfer-Encoding; send one of them");
pub(super) const CODING: Refusal =
    Refusal::bad("the only Transfer-Encoding that this server reads is one header that says 'chunked'");
pub(super) const CODING_IN_1_0: Refusal =
    Refusal::bad("HTTP/1.0 has no Transfer-Encoding; send Content-Length, or speak HTTP/1.1");
pub(super) const BODY_TOO_LONG: Refusal =
    Refusal::new(413, "payload_too_large", "the request's body is longer than 16384 bytes");
pub(super) const CHUNK_SIZE: Refusal =
    Refusal::bad("a chunk must begin with its size in 1 to 16 hexadecimal digits, then CR LF or ';' and an extension");
pub(super) const CHUNK_EXTENSION: Refusal =
    Refusal::bad("a chunk's extension is not ';name' or ';name=value', or is longer than 256 bytes; leave it out");
pub(super) const CHUNK_END: Refusal = Refusal::bad("a chunk must have as many bytes as its size says, and then CR LF");
pub(super) const FRAMING_TOO_LONG: Refusal = Refusal::new(
    413,
    "payload_too_large",
    "the sizes and extensions of the chunks are longer than 8192 bytes; send larger chunks",
);
pub(super) const TRAILERS_TOO_LONG: Refusal = Refusal::new(
    431,
    "headers_too_large",
    "the trailers are longer than 1024 bytes; this server drops them, so leave them out",
);

/// All of them.
pub const REFUSALS: [Refusal; 30] = [
    NOT_HTTP,
    NO_VERSION,
    BARE_CR_OR_LF,
    TARGET_BYTE,
    FRAGMENT,
    TARGET_FORM,
    TARGET_TOO_LONG,
    UNKNOWN_METHOD,
    CONNECT,
    VERSION,
    FIELD_NAME,
    FIELD_VALUE,
    TOO_MANY_FIELDS,
    HEAD_TOO_LONG,
    NO_HOST,
    TWO_HOSTS,
    HOST,
    TWO_AUTHORIZATIONS,
    EXPECTATION,
    LENGTH,
    TWO_LENGTHS,
    LENGTH_AND_CODING,
    CODING,
    CODING_IN_1_0,
    BODY_TOO_LONG,
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_END,
    FRAMING_TOO_LONG,
    TRAILERS_TOO_LONG,
];

// The texts above name these limits.
const _: () =
    assert!(MAX_TARGET_BYTES == 2048 && MAX_HEADERS == 64 && MAX_HEAD_BYTES == 16384 && MAX_BODY_BYTES == 16384);
const _: () = assert!(MAX_CHUNK_SIZE_DIGITS == 16 && MAX_CHUNK_EXTENSION_BYTES == 256);
const _: () = assert!(MAX_CHUNK_FRAMING_BYTES == 8192 && MAX_TRAILER_BYTES == 1024);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_are_in_the_table() {
        let source = include_str!("refusal.rs");
        let constants = source.lines().filter(|line| line.starts_with("pub(super) const "));
        assert_eq!(constants.count(), REFUSALS.len());
        let mut details: Vec<&str> = REFUSALS.iter().map(|refusal| refusal.details).collect();
        details.sort_unstable();
        assert!(details.windows(2).all(|pair| pair[0] != pair[1]), "{details:?}");
    }
}
