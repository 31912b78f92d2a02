//! The request line: `METHOD SP TARGET SP HTTP/1.x CR LF`.
//!
//! Read strictly, byte by byte from the front: single spaces, CR LF, no byte in the target that a URI
//! cannot have. Whatever comes first in the bytes decides, so a line that arrives in pieces gets the
//! answer that the whole line gets, as soon as the byte that spoils it is there; a TLS hello is refused
//! at its first byte. What depends on the whole line (version, method, form of the target, in this
//! order) is decided at its end.

use std::net::Ipv6Addr;

use super::limits::{MAX_HOST_BYTES, MAX_METHOD_BYTES, MAX_TARGET_BYTES};
use super::refusal::{self, Refusal};

/// What is asked to be done. Methods are case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: a GET whose answer leaves its body out.
    Head,
    /// `POST`
    Post,
    /// A method that HTTP defines and no resource here has: 405.
    Other,
}

/// HTTP/1.0 or HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

/// A request line that is all right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub method: Method,
    pub version: Version,
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// Its length, CR LF included.
    pub len: usize,
}

impl<'a> Line<'a> {
    /// Reads the line that `bytes` begin with; None if they end within it.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Line<'a>>, Refusal> {
        let Some((method, rest)) = method(bytes)? else { return Ok(None) };
        let Some((target, rest)) = target(rest)? else { return Ok(None) };
        let Some(version) = version(rest)? else { return Ok(None) };
        // A question after the server itself: nothing is there, but it is a request.
        let is_server_wide = target == "*" && method == b"OPTIONS";
        let method = known(method)?;
        let local = if is_server_wide { Some((target, None)) } else { split(target) };
        let (path, query) = local.ok_or(refusal::TARGET_FORM.of(method))?;
        let len = bytes.len() - rest.len() + VERSION_FORM.len();
        Ok(Some(Line { method, version, path, query, len }))
    }
}

/// A part of the line, and what follows it; None if the bytes end within it.
type Read<'a, T> = Option<(T, &'a [u8])>;

/// The method, and what follows the space after it.
fn method(bytes: &[u8]) -> Result<Read<'_, &[u8]>, Refusal> {
    match bytes.iter().position(|&b| !is_token(b)) {
        None if bytes.len() <= MAX_METHOD_BYTES => Ok(None),
        Some(0) => Err(refusal::NOT_HTTP),
        Some(end) if end <= MAX_METHOD_BYTES && bytes[end] == b' ' => Ok(Some((&bytes[..end], &bytes[end + 1..]))),
        Some(end) if end <= MAX_METHOD_BYTES => Err(refusal::NOT_HTTP),
        _ => Err(refusal::UNKNOWN_METHOD),
    }
}

/// The target, and what follows the space after it.
fn target(bytes: &[u8]) -> Result<Read<'_, &str>, Refusal> {
    let Some(end) = bytes.iter().position(|&b| !IN_TARGET[usize::from(b)]) else {
        return if bytes.len() > MAX_TARGET_BYTES { Err(refusal::TARGET_TOO_LONG) } else { Ok(None) };
    };
    match bytes[end] {
        _ if end > MAX_TARGET_BYTES => Err(refusal::TARGET_TOO_LONG),
        b' ' if end > 0 => {
            let target = str::from_utf8(&bytes[..end]).map_err(|_| refusal::TARGET_BYTE)?;
            Ok(Some((target, &bytes[end + 1..])))
        }
        b' ' | b'\r' | b'\n' => Err(refusal::NO_VERSION),
        b'#' => Err(refusal::FRAGMENT),
        _ => Err(refusal::TARGET_BYTE),
    }
}

const VERSION_FORM: &[u8; 10] = b"HTTP/d.d\r\n";

fn version(bytes: &[u8]) -> Result<Option<Version>, Refusal> {
    if bytes.starts_with(b"HTTP/1.1\r\n") {
        return Ok(Some(Version::Http11));
    }
    for (&byte, &form) in bytes.iter().zip(VERSION_FORM) {
        match (form, byte) {
            (b'd', b'0'..=b'9') => {}
            _ if byte == form && form != b'd' => {}
            (b'\r', b'\n') | (b'\n', _) => return Err(refusal::BARE_CR_OR_LF),
            _ => return Err(refusal::NO_VERSION),
        }
    }
    match bytes {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', b'\r', b'\n', ..] => Ok(Some(Version::Http10)),
        _ if bytes.len() < VERSION_FORM.len() => Ok(None),
        _ => Err(refusal::VERSION),
    }
}

fn known(method: &[u8]) -> Result<Method, Refusal> {
    match method {
        b"GET" => Ok(Method::Get),
        b"HEAD" => Ok(Method::Head),
        b"POST" => Ok(Method::Post),
        b"PUT" | b"DELETE" | b"PATCH" | b"OPTIONS" | b"TRACE" | b"QUERY" => Ok(Method::Other),
        b"CONNECT" => Err(refusal::CONNECT),
        _ => Err(refusal::UNKNOWN_METHOD),
    }
}

/// Path and query of a target in origin-form or absolute-form. The authority of the latter has no say
/// here, as Host has none, but must be one.
fn split(target: &str) -> Option<(&str, Option<&str>)> {
    let local = if target.starts_with('/') {
        target
    } else {
        let (scheme, rest) = target.split_once("://")?;
        let (authority, local) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        if !http || !is_authority(authority.as_bytes()) {
            return None;
        }
        local
    };
    match local.split_once('?') {
        Some(("", query)) => Some(("/", Some(query))),
        Some((path, query)) => Some((path, Some(query))),
        None if local.is_empty() => Some(("/", None)),
        None => Some((local, None)),
    }
}

/// Whether `text` is `host` or `host:port`: what Host must say. Of names, only letters, digits and
/// `- . _ ~` are taken: nobody's host has more, and a comma would be two hosts that some proxy has joined.
pub(super) fn is_authority(text: &[u8]) -> bool {
    if text.len() > MAX_HOST_BYTES {
        return false;
    }
    let (host_is_good, port) = match text {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&b| b == b']') else { return false };
            let address = str::from_utf8(&rest[..end]).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
            (address, &rest[end + 1..])
        }
        _ => {
            let end = text.iter().position(|&b| !IN_HOST[usize::from(b)]).unwrap_or(text.len());
            (end > 0, &text[end..])
        }
    };
    host_is_good
        && match port {
            [] => true,
            // The grammar lets the digits be absent: `host:` means the default port.
            [b':', digits @ ..] => {
                digits.len() <= 5
                    && digits.iter().all(u8::is_ascii_digit)
                    && digits.iter().fold(0, |port: u32, b| port * 10 + u32::from(b - b'0')) <= 65535
            }
            _ => false,
        }
}

/// Whether a byte may stand in a token: a method, a header's name.
pub(super) fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// The bytes of a target: visible ASCII without those that no URI has, and without `#`, which begins a fragment.
static IN_TARGET: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0x21;
    while b <= 0x7e {
        table[b as usize] = !matches!(b, b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
        b += 1;
    }
    table
};

/// The bytes of a host that is no IPv6 address.
static IN_HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0u8;
    while b < 0x80 {
        table[b as usize] = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        b += 1;
    }
    table
};
