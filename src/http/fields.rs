//! The header lines: their syntax (httparse's part), where they end, and what they say of framing.

use super::limits::{MAX_BODY_BYTES, MAX_HEADERS};
use super::line::{Version, is_authority};
use super::refusal::{self, Refusal};

/// Most requests have no more: the places for all cost more to fill than to be read.
const FEW_HEADERS: usize = 16;

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length in bytes, at most [`MAX_BODY_BYTES`]; 0 if nothing is said.
    Length(usize),
    /// By a last chunk.
    Chunked,
}

/// What the header lines of a request say to the server itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub framing: Framing,
    pub keep_alive: bool,
    pub expects_continue: bool,
    pub authorization: Option<&'a [u8]>,
}

/// Where a section of lines ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// After this many bytes, with the empty line.
    End(usize),
    /// Before it does, the LF at this place has no CR before it.
    BareLf(usize),
    /// Not within the bytes that there are.
    Open,
}

/// Finds the first empty line, and sees to it that every line up to it ends with CR LF.
pub(super) fn lines(bytes: &[u8]) -> Lines {
    let mut line = 0;
    while let Some(lf) = line_feed(bytes, line) {
        if lf == 0 || bytes[lf - 1] != b'\r' {
            return Lines::BareLf(lf);
        }
        if lf == line + 1 {
            return Lines::End(lf + 1);
        }
        line = lf + 1;
    }
    Lines::Open
}

/// The first LF from `from` on, eight bytes at a step.
fn line_feed(bytes: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, rest) = bytes[from..].as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let zero_at_lf = u64::from_le_bytes(*word) ^ (ONES * b'\n' as u64);
        // The lowest high bit set is that of the first zero byte ("Hacker's Delight", 6-1); higher ones may lie.
        let marks = zero_at_lf.wrapping_sub(ONES) & !zero_at_lf & HIGHS;
        if marks != 0 {
            return Some(from + i * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    let rest_at = bytes.len() - rest.len();
    rest.iter().position(|&b| b == b'\n').map(|i| rest_at + i)
}

/// Reads the header lines. `bytes` is either the whole section, as [`lines`] has found it, or a
/// beginning of it, of which only the syntax can be checked: then None.
pub(super) fn parse(bytes: &[u8], version: Version) -> Result<Option<Facts<'_>>, Refusal> {
    let mut few = [httparse::EMPTY_HEADER; FEW_HEADERS];
    let mut many;
    let read = match read(bytes, &mut few) {
        Err(refusal::TOO_MANY_FIELDS) => {
            many = [httparse::EMPTY_HEADER; MAX_HEADERS];
            read(bytes, &mut many)
        }
        read => read,
    };
    match read? {
        Some(headers) => collect(headers, version).map(Some),
        None => Ok(None),
    }
}

/// Checks the syntax of trailer lines, whole or a beginning of them, and drops them.
pub(super) fn check_trailers(bytes: &[u8]) -> Result<(), Refusal> {
    read(bytes, &mut [httparse::EMPTY_HEADER; MAX_HEADERS]).map(drop)
}

fn read<'h, 'a>(
    bytes: &'a [u8],
    room: &'h mut [httparse::Header<'a>],
) -> Result<Option<&'h [httparse::Header<'a>]>, Refusal> {
    match httparse::parse_headers(bytes, room) {
        Ok(httparse::Status::Complete((len, headers))) if len == bytes.len() => Ok(Some(headers)),
        // An end that `lines` has not seen: it cannot be, and if it were, two readers would disagree.
        Ok(httparse::Status::Complete(_)) => Err(refusal::BARE_CR_OR_LF),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(refusal::TOO_MANY_FIELDS),
        Err(httparse::Error::HeaderValue) => Err(refusal::FIELD_VALUE),
        Err(httparse::Error::NewLine) => Err(refusal::BARE_CR_OR_LF),
        Err(_) => Err(refusal::FIELD_NAME),
    }
}

fn collect<'a>(headers: &[httparse::Header<'a>], version: Version) -> Result<Facts<'a>, Refusal> {
    let (mut host, mut length, mut coding, mut authorization) = (None, None, None, None);
    let (mut close, mut expects_continue, mut expects_more) = (false, false, false);
    for header in headers {
        let (name, value) = (header.name, header.value);
        // By length first: most names are none of ours.
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => once(&mut host, value, refusal::TWO_HOSTS)?,
            6 if name.eq_ignore_ascii_case("expect") => match value.eq_ignore_ascii_case(b"100-continue") {
                true => expects_continue = true,
                false => expects_more = true,
            },
            10 if name.eq_ignore_ascii_case("connection") => close |= has_token(value, b"close"),
            13 if name.eq_ignore_ascii_case("authorization") => {
                once(&mut authorization, value, refusal::TWO_AUTHORIZATIONS)?;
            }
            14 if name.eq_ignore_ascii_case("content-length") => once(&mut length, value, refusal::TWO_LENGTHS)?,
            17 if name.eq_ignore_ascii_case("transfer-encoding") => once(&mut coding, value, refusal::CODING)?,
            _ => {}
        }
    }
    let http11 = version == Version::Http11;
    match host {
        Some(host) if !is_authority(host) => return Err(refusal::HOST),
        None if http11 => return Err(refusal::NO_HOST),
        _ => {}
    }
    let framing = framing(length, coding, http11)?;
    // RFC 9110, 10.1.1: an expectation in HTTP/1.0 is ignored.
    if expects_more && http11 {
        return Err(refusal::EXPECTATION);
    }
    Ok(Facts { framing, keep_alive: http11 && !close, expects_continue: http11 && expects_continue, authorization })
}

fn once<'a>(seen: &mut Option<&'a [u8]>, value: &'a [u8], again: Refusal) -> Result<(), Refusal> {
    match seen.replace(value) {
        None => Ok(()),
        Some(_) => Err(again),
    }
}

fn framing(length: Option<&[u8]>, coding: Option<&[u8]>, http11: bool) -> Result<Framing, Refusal> {
    match (length, coding) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(_), Some(_)) => Err(refusal::LENGTH_AND_CODING),
        (None, Some(_)) if !http11 => Err(refusal::CODING_IN_1_0),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (None, Some(_)) => Err(refusal::CODING),
        (Some(digits), None) => match decimal(digits) {
            None => Err(refusal::LENGTH),
            Some(length) if length > MAX_BODY_BYTES as u64 => Err(refusal::BODY_TOO_LONG),
            Some(length) => Ok(Framing::Length(length as usize)),
        },
    }
}

/// A number of 1 to 19 digits and nothing else: any such fits 64 bits.
fn decimal(digits: &[u8]) -> Option<u64> {
    let good = matches!(digits.len(), 1..=19) && digits.iter().all(u8::is_ascii_digit);
    good.then(|| digits.iter().fold(0, |number, b| number * 10 + u64::from(b - b'0')))
}

/// Whether a comma-separated list has the token.
fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&b| b == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

/// The header lines of a request, in order: names as sent, values without the white space around them.
/// For the headers that few requests need; the lines have been checked, so this only cuts them up.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The lines of a section that [`parse`] has accepted.
    pub(super) fn of(section: &'a [u8]) -> Fields<'a> {
        Fields(section)
    }

    /// Names and values.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (line, after) = rest.split_at(line_feed(rest, 0)? + 1);
            rest = after;
            // The empty line, the last one, has no colon.
            let colon = line.iter().position(|&b| b == b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }

    /// The values of the header `name` (in any case), one for each line that has it.
    pub fn named(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }
}
