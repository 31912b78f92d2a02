//! HTTP/1.1, as bytes: a connection's unread bytes become a [`Request`], an answer becomes bytes. Pure:
//! no socket, no clock, no runtime, so every case can be tested as a table.
//!
//! **Framing is unambiguous or refused.** Where two readers of the same bytes could see two different
//! requests (a length given twice, a length beside chunks, a bare LF, a folded line), an attacker
//! behind a proxy can smuggle one past it. So nothing is repaired here: [`parse()`] gives a request that has
//! one reading only, or a [`Refusal`], after which the connection closes.
//!
//! httparse reads the header lines. It lets more through than we do (a bare LF, empty lines before the
//! request, any byte in a target, chunk sizes without digits), so the line ends are checked before
//! it sees them, and the request line and the chunks are read here.
//!
//! In reading order: `limits` (every bound), `parse` (bytes to a request), `line` (the request line),
//! `fields` (the header lines and what they say of framing), `chunked` (bodies in chunks), `refusal` (what is
//! answered to the rest), `inbound` (a connection's unread bytes), `encode` (an answer to bytes), `request_id`.

mod chunked;
mod encode;
mod fields;
mod inbound;
mod line;
mod parse;
mod refusal;
mod request_id;

pub mod limits;

pub use encode::{CONTINUE, Date, Head, JSON, decimal, respond, respond_head};
pub use fields::Fields;
pub use inbound::{Inbound, Next};
pub use line::Method;
pub use parse::{Phase, Request, Step, parse};
pub use refusal::{REFUSALS, Refusal};
pub use request_id::{RequestId, RequestIds};

#[cfg(test)]
#[path = "../../tests/http_cases/mod.rs"]
mod cases;
