//! HTTP/1.1 over real sockets: what a connection does, whatever the requests on it are about.

#[path = "../common/mod.rs"]
mod common;

#[path = "../http_cases/mod.rs"]
mod cases;

mod connections;
mod deadlines;
mod fairness;
mod hostile;
mod overload;
mod pipelining;
mod refusals;
mod table;
