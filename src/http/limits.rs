//! Every bound of the HTTP side, in one place, with the relations between them checked at compile time.
//!
//! A client can make the server hold at most [`MAX_REQUEST_BYTES`] of a request that is not complete:
//! with that many unread bytes [`parse`](super::parse()) always has an answer or a refusal.

/// The request line, the header lines and the empty line after them. More is answered 431.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Header lines of a request. More are answered 431.
pub const MAX_HEADERS: usize = 64;
/// The method. Longer ones are answered 501: we know none as long.
pub const MAX_METHOD_BYTES: usize = 32;
/// The request target as it was sent, percent-encoding and all. Longer ones are answered 414.
pub const MAX_TARGET_BYTES: usize = 2 * 1024;
/// The value of Host, and the authority of an absolute target: a DNS name and a port. Longer ones are answered 400.
pub const MAX_HOST_BYTES: usize = 255 + ":65535".len();

/// A request's body, without the framing of its chunks. More is answered 413.
pub const MAX_BODY_BYTES: usize = 16 * 1024;
/// The digits of a chunk's size. More are answered 400, leading zeros or not.
pub const MAX_CHUNK_SIZE_DIGITS: usize = 16;
/// What may follow a chunk's size on its line, from the `;` on. More is answered 400.
pub const MAX_CHUNK_EXTENSION_BYTES: usize = 256;
/// All chunk lines of a request together, and the CRLF after each chunk. More is answered 413: a body
/// that needs it is sent a byte at a time.
pub const MAX_CHUNK_FRAMING_BYTES: usize = 8 * 1024;
/// The trailer lines after the last chunk and the empty line that ends them. More is answered 431.
pub const MAX_TRAILER_BYTES: usize = 1024;

/// The longest line that announces a chunk: size, extension, CRLF.
pub const MAX_CHUNK_LINE_BYTES: usize = MAX_CHUNK_SIZE_DIGITS + MAX_CHUNK_EXTENSION_BYTES + 2;
/// The most unread bytes that a request can need before it is complete or refused: an empty line, the head,
/// the body, the framing of its chunks, and one chunk line with the trailers past the last check of that.
pub const MAX_REQUEST_BYTES: usize =
    2 + MAX_HEAD_BYTES + MAX_BODY_BYTES + MAX_CHUNK_FRAMING_BYTES + MAX_CHUNK_LINE_BYTES + MAX_TRAILER_BYTES;

/// What a connection's read buffer begins with; it grows on demand up to [`MAX_REQUEST_BYTES`].
pub const READ_BUFFER_BYTES: usize = 4 * 1024;
/// What is read at once of a client that sends more than that in a burst: its requests are answered together.
pub const BURST_BYTES: usize = 16 * 1024;
/// Requests of one connection that may be under way at once. More wait unread.
pub const MAX_PIPELINED: usize = 64;
/// What is still read of a connection that is being closed, so that the client gets to see the last answer.
pub const MAX_LINGER_BYTES: usize = 1 << 20;

/// `/locks/`, a name of 128 bytes each percent-encoded, `/acquire`: what a target must have room for; a list's
/// query holds a prefix like it and a cursor.
const LONGEST_TARGET_WE_SERVE: usize = "/locks?prefix=&limit=1000&cursor=".len() + 3 * 128 + 512;
/// Metadata of 1,024 bytes, each written `\u00xx`, and the members beside it: what a body must have room for.
const LONGEST_BODY_WE_SERVE: usize = 6 * 1024 + 1024;

const _: () = assert!(
    MAX_METHOD_BYTES + MAX_TARGET_BYTES + "  HTTP/1.1\r\n".len() < MAX_HEAD_BYTES / 2,
    "a line leaves room for headers"
);
const _: () = assert!(LONGEST_TARGET_WE_SERVE <= MAX_TARGET_BYTES);
const _: () = assert!(LONGEST_BODY_WE_SERVE <= MAX_BODY_BYTES);
const _: () = assert!(MAX_HOST_BYTES < MAX_TARGET_BYTES, "an absolute target has room for its path");
const _: () = assert!(MAX_CHUNK_SIZE_DIGITS <= 16, "a chunk's size fits 64 bits");
const _: () = assert!(MAX_CHUNK_LINE_BYTES < MAX_CHUNK_FRAMING_BYTES);
const _: () = assert!(READ_BUFFER_BYTES < BURST_BYTES && BURST_BYTES < MAX_REQUEST_BYTES);
const _: () = assert!(MAX_REQUEST_BYTES <= 64 * 1024, "what one connection may make us hold");
