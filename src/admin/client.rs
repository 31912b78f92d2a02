//! The command line's end of the admin socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{MAX_REPLY_BYTES, Reply, Request, socket};
use crate::clock::Duration;

/// How long the server may be silent. It is far from that while it works: account changes take milliseconds, and a
/// copy tells how far it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a running server.
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the server of a database, which is given by its real path.
    ///
    /// # Errors
    /// No server listens there.
    pub fn connect(database: &Path) -> io::Result<Client> {
        let stream = socket::connect(database)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Asks, and gives the last reply. `part` is told what comes before it. The connection stays open, and with it
    /// a copy that was made, as long as the client is there.
    ///
    /// # Errors
    /// A refusal, or the connection broke: the text is one line.
    pub fn ask(&mut self, request: &Request, part: &mut dyn FnMut(Reply)) -> Result<Reply, String> {
        let broken = |error: io::Error| format!("the server does not answer at its admin socket: {error}");
        let mut line = serde_json::to_vec(request).expect("a request is JSON");
        line.push(b'\n');
        // A refusal may come before the request is read, and then writing fails: what was answered counts.
        let sent = self.stream.get_mut().write_all(&line);
        loop {
            let mut line = String::new();
            match (&mut self.stream).take(MAX_REPLY_BYTES).read_line(&mut line) {
                Ok(0) => {
                    sent.map_err(broken)?;
                    return Err("the server has hung up: it is stopping, or its log says why".to_owned());
                }
                Ok(_) => {}
                Err(error) => return Err(broken(error)),
            }
            match serde_json::from_str(&line) {
                Ok(reply) if !reply.is_last() => part(reply),
                Ok(Reply::Refused { why }) => return Err(why),
                Ok(reply) => return Ok(reply),
                Err(_) => return Err("the server is of another version: use its own binary".to_owned()),
            }
        }
    }
}
