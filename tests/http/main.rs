//! HTTP/1.1 over real sockets: what a connection does, whatever the requests on it are about.

#[path = "../common/mod.rs"]
mod common;

mod connections;
mod hostile;
mod pipelining;
mod refusals;
