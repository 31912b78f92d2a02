//! Bodies in chunks: `size [;extension] CR LF data CR LF …`, a chunk of size 0, trailer lines, an empty line.
//!
//! [`measure`] only looks, so a body that arrives in pieces can be looked at again and again; once it is
//! whole, [`compact`] moves the data of its chunks together. Extensions and trailers are checked,
//! bounded and dropped (RFC 9112, 7.1.1 and 7.1.2).

use super::fields::{self, Lines};
use super::limits::*;
use super::line::is_token;
use super::refusal::{self, Refusal};

/// A body that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    /// Its bytes, without framing: at most [`MAX_BODY_BYTES`].
    pub body: usize,
    /// Its bytes on the wire, up to the end of the trailers.
    pub wire: usize,
}

/// Measures the body that `bytes` begin with; None if they end within it.
pub(super) fn measure(bytes: &[u8]) -> Result<Option<Measured>, Refusal> {
    let (mut body, mut wire) = (0, 0);
    loop {
        let Some(chunk) = Chunk::parse(&bytes[wire..])? else { return Ok(None) };
        wire += chunk.line;
        if chunk.size == 0 {
            return Ok(trailers(&bytes[wire..])?.map(|len| Measured { body, wire: wire + len }));
        }
        if chunk.size > (MAX_BODY_BYTES - body) as u64 {
            return Err(refusal::BODY_TOO_LONG);
        }
        body += chunk.size as usize;
        wire += chunk.size as usize;
        if wire + 2 - body > MAX_CHUNK_FRAMING_BYTES {
            return Err(refusal::FRAMING_TOO_LONG);
        }
        match bytes.get(wire..).unwrap_or_default() {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => wire += 2,
            _ => return Err(refusal::CHUNK_END),
        }
    }
}

/// Moves the data of the chunks of a measured body to its front, in place.
pub(super) fn compact(bytes: &mut [u8]) {
    let (mut body, mut wire) = (0, 0);
    while let Ok(Some(chunk @ Chunk { size: 1.., .. })) = Chunk::parse(&bytes[wire..]) {
        let data = wire + chunk.line;
        let end = data + chunk.size as usize;
        bytes.copy_within(data..end, body);
        body += chunk.size as usize;
        wire = end + 2;
    }
}

/// What the line before a chunk says.
struct Chunk {
    size: u64,
    /// The line's length, CR LF included.
    line: usize,
}

impl Chunk {
    fn parse(bytes: &[u8]) -> Result<Option<Chunk>, Refusal> {
        let digits = bytes.iter().take_while(|b| b.is_ascii_hexdigit()).take(MAX_CHUNK_SIZE_DIGITS + 1).count();
        let end = match bytes.get(digits) {
            _ if digits > MAX_CHUNK_SIZE_DIGITS => return Err(refusal::CHUNK_SIZE),
            None => return Ok(None),
            Some(b'\r') if digits > 0 => digits,
            Some(b';') if digits > 0 => match extensions(&bytes[digits..])? {
                Some(len) => digits + len,
                None => return Ok(None),
            },
            Some(_) => return Err(refusal::CHUNK_SIZE),
        };
        match bytes.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => {
                let size = bytes[..digits].iter().fold(0, |size, &b| size << 4 | u64::from(hex_digit(b)));
                Ok(Some(Chunk { size, line: end + 2 }))
            }
            Some(_) => Err(refusal::CHUNK_SIZE),
        }
    }
}

fn hex_digit(b: u8) -> u8 {
    match b {
        b'0'..=b'9' => b - b'0',
        _ => (b | 0x20) - b'a' + 10,
    }
}

/// The length of the extensions, from the first `;` to the CR after them: each a name, or a name and a value, which
/// is a token or in quotes (RFC 9112, 7.1.1). The white space that it allows where nobody sends it is refused.
fn extensions(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    enum Before {
        Name,
        MoreName,
        Value,
        MoreValue,
        Quoted,
        Escaped,
        End,
    }
    let mut before = Before::End;
    for (at, &b) in bytes.iter().enumerate() {
        before = match (before, b) {
            (Before::MoreName | Before::MoreValue | Before::End, b'\r') => return Ok(Some(at)),
            _ if at == MAX_CHUNK_EXTENSION_BYTES => return Err(refusal::CHUNK_EXTENSION),
            (Before::MoreName | Before::MoreValue | Before::End, b';') => Before::Name,
            (Before::Name | Before::MoreName, b) if is_token(b) => Before::MoreName,
            (Before::MoreName, b'=') => Before::Value,
            (Before::Value | Before::MoreValue, b) if is_token(b) => Before::MoreValue,
            (Before::Value, b'"') => Before::Quoted,
            (Before::Quoted, b'"') => Before::End,
            (Before::Quoted, b'\\') => Before::Escaped,
            (Before::Quoted | Before::Escaped, b'\t' | b' '..=b'~' | 0x80..) => Before::Quoted,
            _ => return Err(refusal::CHUNK_EXTENSION),
        }
    }
    Ok(None)
}

/// The length of the trailer lines and the empty line after them.
fn trailers(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let window = &bytes[..bytes.len().min(MAX_TRAILER_BYTES)];
    match fields::lines(window) {
        Lines::End(end) => fields::check_trailers(&window[..end]).map(|()| Some(end)),
        Lines::BareLf(at) => fields::check_trailers(&window[..at]).and(Err(refusal::BARE_CR_OR_LF)),
        Lines::Open => {
            fields::check_trailers(window)?;
            if window.len() == MAX_TRAILER_BYTES { Err(refusal::TRAILERS_TOO_LONG) } else { Ok(None) }
        }
    }
}
